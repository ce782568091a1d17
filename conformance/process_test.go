package conformance

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// workDir is where data, logs and Balsa's program are, until the tests end.
var workDir string

// processes are all that were started and are still to be stopped.
var processes []*process

// process is a server under test. Its output goes to a file.
type process struct {
	name string
	cmd  *exec.Cmd
	log  string
	done chan struct{}
	err  error // how it ended; valid when done is closed
}

// start runs a program until the tests end.
func start(t testing.TB, name, program string, args ...string) *process {
	t.Helper()
	p := &process{name: name, log: filepath.Join(workDir, name+".log"), done: make(chan struct{})}
	out, err := os.Create(p.log)
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	p.cmd = exec.Command(program, args...)
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = workDir, out, out
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	processes = append(processes, p)
	return p
}

// check fails the test if the process has ended.
func (p *process) check(t testing.TB) {
	t.Helper()
	select {
	case <-p.done:
		t.Fatalf("%s has ended: %v\n%s", p.name, p.err, p.tail())
	default:
	}
}

// tail returns the end of the process's output, or the beginning of its panic.
func (p *process) tail() string {
	const linesMax = 20
	b, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	from := slices.IndexFunc(lines, func(line string) bool {
		return strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:")
	})
	if from < 0 {
		from = max(0, len(lines)-linesMax)
	}
	return strings.Join(lines[from:min(len(lines), from+linesMax)], "\n")
}

// stop asks the process to end, and returns an error if it does not do so well.
func (p *process) stop() error {
	select {
	case <-p.done:
		return fmt.Errorf("%s ended by itself: %v\n%s", p.name, p.err, p.tail())
	default:
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.done:
	case <-time.After(patience):
		p.cmd.Process.Kill()
		<-p.done
		return fmt.Errorf("%s did not stop within %v of SIGTERM\n%s", p.name, patience, p.tail())
	}
	if p.err != nil && p.cmd.Path == balsaProgram { // etcd ends by the signal
		return fmt.Errorf("%s was asked to stop, and ended with %w\n%s", p.name, p.err, p.tail())
	}
	return nil
}

// stopAll ends everything, one after the other: the last members of a cluster stop when they have no majority any more.
// It says whether all ended well.
func stopAll() bool {
	ok := true
	for _, p := range processes {
		if err := p.stop(); err != nil {
			say("%v", err)
			ok = false
		}
	}
	return ok
}

// given are the ports that freePorts has returned: a member that does not listen there yet, or not just now, is not to lose it to another one.
var given = map[int]bool{}

// freePorts returns a port so that it and those that are offsets above it are free, and stay so. It stays below the ports that the
// system gives to outgoing connections, so that none of those takes it in between.
func freePorts(t testing.TB, offsets ...int) int {
	t.Helper()
	for range 1000 {
		port := 10000 + rand.IntN(20000)
		if allFree(port, offsets) {
			for _, o := range append(offsets, 0) {
				given[port+o] = true
			}
			return port
		}
	}
	t.Fatal("no free ports found")
	return 0
}

func allFree(port int, offsets []int) bool {
	for _, o := range append(offsets, 0) {
		if given[port+o] {
			return false
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port+o))
		if err != nil {
			return false
		}
		l.Close()
	}
	return true
}
