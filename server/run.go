package server

// The goroutines of the package start here, and each is waited for by the struct that starts it.

// start runs f for the sniffer; Close waits for it.
func (s *sniffer) start(f func()) {
	s.wait.Add(1)
	go func() {
		defer s.wait.Done()
		f()
	}()
}

// start runs f for the server; Close waits for it.
func (s *Server) start(f func()) {
	s.wait.Add(1)
	go func() {
		defer s.wait.Done()
		f()
	}()
}
