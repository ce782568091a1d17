package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// patience is how long a test waits for what takes milliseconds, or a second, on a machine that has time for it.
const patience = 30 * time.Second

// outcome is what a command has written and how it ended.
type outcome struct {
	out, err string
	code     int
}

// slow is an environment in which commands wait as long as tests do.
var slow = []string{"ETCDCTL_DIAL_TIMEOUT=" + patience.String(), "ETCDCTL_COMMAND_TIMEOUT=" + patience.String()}

// try runs a command with nothing more than that in its environment.
func try(t *testing.T, stdin string, args ...string) outcome {
	t.Helper()
	return tryWith(t, nil, stdin, args...)
}

func tryWith(t *testing.T, environ []string, stdin string, args ...string) outcome {
	t.Helper()
	var out, err bytes.Buffer
	a := testApp(append(slices.Clone(environ), slow...))
	a.stdin, a.stdout, a.stderr = strings.NewReader(stdin), &out, &err
	ctx, cancel := context.WithTimeout(context.Background(), 2*patience)
	defer cancel()
	code := a.run(ctx, args)
	return outcome{out.String(), err.String(), code}
}

func testApp(environ []string) *app {
	return &app{
		call: "balsa", stdin: strings.NewReader(""), stdout: io.Discard, stderr: io.Discard,
		getenv: func(name string) string {
			for _, pair := range environ {
				if variable, value, _ := strings.Cut(pair, "="); variable == name {
					return value
				}
			}
			return ""
		},
		environ:    func() []string { return environ },
		isTerminal: func(io.Writer) bool { return false },
	}
}

// syncBuffer can be read while it is written.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// dev is a "balsa dev" that runs in this process.
type dev struct {
	t           *testing.T
	port, nodes int
	out, log    *syncBuffer
	cancel      context.CancelFunc
	ended       chan int
}

// startDev starts a cluster and waits until it is ready. change may prepare the program.
func startDev(t *testing.T, dir string, nodes int, change func(*app), args ...string) *dev {
	t.Helper()
	d := &dev{t: t, port: freePorts(t, nodes), nodes: nodes, out: &syncBuffer{}, log: &syncBuffer{}, ended: make(chan int, 1)}
	a := testApp(nil)
	a.stdout, a.stderr = d.out, d.log
	if change != nil {
		change(a)
	}
	ctx, cancel := context.WithCancel(context.Background())
	d.cancel = cancel
	all := append([]string{"dev", "--data-dir", dir, "--client-port", fmt.Sprint(d.port)}, args...)
	go func() { d.ended <- a.run(ctx, all) }()
	t.Cleanup(func() { d.stop() })
	await(t, "the cluster to be ready", func() bool {
		select {
		case code := <-d.ended:
			t.Fatalf("dev ended with %d: %s", code, d.log)
		default:
		}
		return strings.Contains(d.log.String(), "cluster is ready") || strings.Contains(d.out.String(), "Ctrl-C")
	})
	return d
}

// stop stops the cluster as Ctrl-C does, and returns the exit code, -1 if it had been stopped before.
func (d *dev) stop() int {
	d.cancel()
	if d.ended == nil {
		return -1
	}
	select {
	case code := <-d.ended:
		d.ended = nil
		return code
	case <-time.After(patience):
		d.t.Errorf("the cluster has not stopped within %v", patience)
		return -1
	}
}

func (d *dev) endpoints() string {
	var all []string
	for i := range d.nodes {
		all = append(all, fmt.Sprintf("127.0.0.1:%d", d.port+devPortStep*i))
	}
	return strings.Join(all, ",")
}

// Client ports that are given out: below those that the system gives to whoever asks for any. A slot is one with the next, for a peer's, and those that
// follow in steps of devPortStep: up to ten members have room in a thousand.
const (
	firstClientPort = 15_000
	slotsOfThousand = devPortStep / 2
	slots           = 15 * slotsOfThousand
)

var nextSlot atomic.Int64

func init() { nextSlot.Store(rand.Int64N(slots)) }

// freePorts returns a client port for "balsa dev" with so many members, and gives none of theirs to another test of this process: a port on which
// nobody listens may be that of a server that is yet to start, or is down.
func freePorts(t *testing.T, nodes int) int {
	t.Helper()
	for range slots {
		slot := int(nextSlot.Add(1) % slots)
		port := firstClientPort + slot/slotsOfThousand*1000 + slot%slotsOfThousand*2
		d := devCluster{dir: filepath.Join(t.TempDir(), "none"), nodes: nodes, clientPort: port}
		if d.prepare() == nil {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited %v for %s", patience, what)
		}
	}
}

// TestNullDeviceIsNoTerminal: what is told to people alone would be told to nobody.
func TestNullDeviceIsNoTerminal(t *testing.T) {
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	if isTerminal(null) {
		t.Errorf("%s is taken for a terminal", os.DevNull)
	}
}
