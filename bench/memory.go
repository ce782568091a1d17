package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/balsa-raft/balsa"
)

// memorySteps is how often the memory of members is looked at.
const memorySteps = 10

// runMemory starts three members, each a process of its own, and watches what they occupy while the leader is written to. They end when what they
// read ends.
func (s *scale) runMemory(ctx context.Context, emit func(point)) (err error) {
	dir, err := os.MkdirTemp(s.dir, "balsa-scale-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	members, err := balsaMembers(3)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 4*s.entriesTime(s.writes)+time.Minute)
	defer cancel()
	var mu sync.Mutex
	var started, finished sync.WaitGroup // members whose last point has come; processes
	var stdins []io.Closer
	var errs []error
	add := func(err error) {
		mu.Lock()
		defer mu.Unlock()
		errs = append(errs, err)
	}
	for _, m := range members {
		spec := childSpec{Kind: "member", Dir: filepath.Join(dir, fmt.Sprint(m.ID)), Member: m.ID, Members: members, Writes: s.writes, Step: max(1, s.writes/memorySteps)}
		cmd, err := childProcess(ctx, spec)
		if err != nil {
			return err
		}
		cmd.Stderr = s.progress
		stdin, err := cmd.StdinPipe()
		if err != nil {
			return err
		}
		stdout, err := cmd.StdoutPipe()
		if err != nil {
			return err
		}
		if err := cmd.Start(); err != nil {
			return err
		}
		stdins = append(stdins, stdin)
		started.Add(1)
		finished.Go(func() {
			last := sync.OnceFunc(started.Done)
			defer last() // it may have failed
			err := readPoints(stdout, func(p point) {
				mu.Lock()
				defer mu.Unlock()
				emit(p)
				if p.X >= float64(s.writes)/1e6 {
					last()
				}
			})
			if err = errors.Join(err, cmd.Wait()); err != nil {
				add(fmt.Errorf("member %d: %w", m.ID, err))
				cancel() // the others would wait for it
			}
		})
	}
	started.Wait()
	for _, c := range stdins {
		c.Close()
	}
	finished.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// oneMember runs a member until stdin ends. If it leads it makes the writes.
func oneMember(spec childSpec, stdin io.Reader, emit func(point)) (err error) {
	machine := &counter{}
	n, err := openBalsaMember(spec.Dir, spec.Member, spec.Members, machine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	ended := make(chan struct{})
	go func() {
		io.Copy(io.Discard, stdin)
		close(ended)
	}()
	filling, led := make(chan error, 1), false
	next := spec.Step
	for ticker := time.NewTicker(10 * time.Millisecond); ; {
		select {
		case <-ended:
			return nil
		case err := <-filling:
			if err != nil {
				return err
			}
		case <-ticker.C:
		}
		if !led && n.Status().Role == "leader" {
			led = true
			go func() { filling <- fillMember(n, spec.Writes) }()
		}
		for done := machine.executed(); next <= done && next <= spec.Writes; next += spec.Step {
			emit(memoryPoint(memberName(n, led), next))
			if next+spec.Step > spec.Writes && next < spec.Writes {
				next = spec.Writes - spec.Step // the last step is to be the last write
			}
		}
	}
}

func fillMember(n *balsa.Node[[]byte, struct{}], writes uint64) error {
	made := &commands{payload: 128}
	return fill(func(ctx context.Context) error {
		_, err := n.Propose(ctx, made.next())
		return err
	}, writes)
}

func memberName(n *balsa.Node[[]byte, struct{}], led bool) string {
	if led {
		return "leader"
	}
	return fmt.Sprintf("follower n%d", n.Status().ID)
}

func memoryPoint(name string, writes uint64) point {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return point{Series: name, X: float64(writes) / 1e6, Values: map[string]float64{valRSS: residentMiB(), valHeap: float64(m.HeapAlloc) / mib}}
}

// residentMiB is zero where /proc is not.
func residentMiB() float64 {
	b, _ := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.ParseFloat(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")), 64)
			return kib / 1024
		}
	}
	return 0
}
