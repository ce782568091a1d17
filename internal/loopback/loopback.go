// Package loopback gives tests addresses on which a member of theirs may listen now, later, and again after it was stopped.
package loopback

import (
	"fmt"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
)

// Ports that are given out: below those that systems give to whoever asks for any, so that no connection and no other listener takes one between
// its choice and its use.
const (
	firstPort = 10_000
	endPort   = 32_768
)

var (
	mu   sync.Mutex
	next = os.Getpid() % (endPort - firstPort) // behind firstPort
)

// Address returns an address of this machine on which nobody listens, and which nobody else is given: neither another test of this process, as long as
// it asks for fewer than 22,768, nor, where each process has a host of its own (see host), another process.
func Address(t testing.TB) string {
	t.Helper()
	mu.Lock()
	defer mu.Unlock()
	for range endPort - firstPort {
		address := fmt.Sprintf("%s:%d", host(), firstPort+next)
		next = (next + 1) % (endPort - firstPort)
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("every port is taken")
	return ""
}

// host returns a loopback address that belongs to this process alone. On Linux all of 127.0.0.0/8 is there; elsewhere only its first is.
func host() string {
	pid := os.Getpid()
	if runtime.GOOS != "linux" || pid >= 1<<22 {
		return "127.0.0.1"
	}
	return fmt.Sprintf("127.%d.%d.%d", 64+pid>>16, pid>>8&0xff, pid&0xff)
}
