package loopback

import (
	"net"
	"testing"
)

// TestAddress: no address is given out twice, whether or not anybody listens on it yet, and none that is taken.
func TestAddress(t *testing.T) {
	const n = 300
	seen := map[string]bool{}
	for range n {
		a := Address(t)
		if seen[a] {
			t.Fatalf("%s was given out before", a)
		}
		seen[a] = true
		l, err := net.Listen("tcp", a)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	mu.Lock()
	next = (next + endPort - firstPort - n) % (endPort - firstPort)
	mu.Unlock()
	if a := Address(t); seen[a] {
		t.Errorf("%s is taken", a)
	}
}
