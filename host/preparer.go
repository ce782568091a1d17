package host

// Preparer makes the log's next segment ready ahead of its use, so that the writer never waits for one.
type Preparer struct {
	host  *Host
	inbox *inbox[struct{}] // only its wake is used
}

func (p *Preparer) poke() { p.inbox.poke() }

// Step prepares what the log will need next.
func (p *Preparer) Step() {
	select {
	case <-p.inbox.wake: // for those who step the parts themselves; a poke from now on wakes it again
	default:
	}
	if p.host.Err() != nil {
		return
	}
	if err := p.host.log.Prepare(); err != nil {
		p.host.logger.Warn("the log's next segment could not be prepared; it will be made when it is needed", "error", err)
	}
}
