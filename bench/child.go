package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"time"

	"github.com/balsa-raft/balsa"
)

// childSpec is what a process that scale starts is to do. It writes points as lines of JSON.
type childSpec struct {
	Kind    string // log, members, soak or member
	Dir     string
	Entries []uint64 // log: where it is measured
	Voters  int      // members
	State   int      // soak: bytes
	WarmUp  time.Duration
	Length  time.Duration

	// Of member: one of three, which makes the writes if it leads.
	Member       balsa.NodeID
	Members      []balsa.Member
	Writes, Step uint64
}

// childCommand is the argument that makes this program such a process.
const childCommand = "scale-child"

// child starts such a process, in a folder of its own, and hands on its points.
func (s *scale) child(ctx context.Context, spec childSpec, takes time.Duration, emit func(point)) error {
	dir, err := os.MkdirTemp(s.dir, "balsa-scale-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	spec.Dir = dir
	ctx, cancel := context.WithTimeout(ctx, 4*takes+time.Minute) // a cluster that hangs
	defer cancel()
	cmd, err := childProcess(ctx, spec)
	if err != nil {
		return err
	}
	var said bytes.Buffer // what goes wrong there
	cmd.Stderr = &said
	lines, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = readPoints(lines, emit)
	err = errors.Join(err, cmd.Wait(), ctx.Err())
	if err != nil && said.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(said.Bytes()))
	}
	return err
}

func childProcess(ctx context.Context, spec childSpec) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(spec)
	return exec.CommandContext(ctx, program, childCommand, string(text)), err
}

func readPoints(r io.Reader, emit func(point)) error {
	for scanner := bufio.NewScanner(r); scanner.Scan(); {
		var p point
		if err := json.Unmarshal(scanner.Bytes(), &p); err != nil {
			return err
		}
		emit(p)
	}
	return nil
}

// runChild is what those processes do.
func runChild(args []string, stdin io.Reader, stdout io.Writer) error {
	var spec childSpec
	if len(args) != 1 {
		return errors.New("one argument is needed")
	}
	if err := json.Unmarshal([]byte(args[0]), &spec); err != nil {
		return err
	}
	encoder := json.NewEncoder(stdout)
	var mu sync.Mutex
	var failed error
	emit := func(p point) {
		mu.Lock()
		defer mu.Unlock()
		failed = errors.Join(failed, encoder.Encode(p))
	}
	err := map[string]func() error{
		"log":     func() error { return growLog(spec, emit) },
		"members": func() error { return manyMembers(spec, emit) },
		"soak":    func() error { return soak(spec, emit) },
		"member":  func() error { return oneMember(spec, stdin, emit) },
	}[spec.Kind]()
	return errors.Join(err, failed)
}

// logSettled is how long a log is that a measurement does not change much.
const logSettled = 500_000

// growLog measures a cluster when its log has had so many entries.
func growLog(spec childSpec, emit func(point)) (err error) {
	b, err := openBalsa(spec.Dir, 3, func() balsaMachine { return &counter{} })
	if err != nil {
		return err
	}
	c := b.cluster()
	defer func() { err = errors.Join(err, c.close()) }()
	made := &commands{payload: 128}
	write := c.operation(opWrite, made.next)
	acknowledged := uint64(0)
	for _, n := range spec.Entries {
		if n > acknowledged {
			if err := fill(write, n-acknowledged); err != nil {
				return err
			}
			acknowledged = n
		}
		length := spec.Length
		if n < logSettled {
			length /= 4 // or it would be another log by the end
		}
		r := drive(write, scaleConc, length)
		acknowledged += r.done
		p := resultPoint(ownName, float64(n), r)
		p.Values[valLog] = float64(b.leader.Status().LogBytes) / mib
		emit(p)
	}
	return awaitApplied(system{name: ownName}, c, acknowledged, callTimeout)
}

// fill makes n writes, as fast as they are taken.
func fill(write func(context.Context) error, n uint64) error {
	var claimed atomic.Uint64
	var all sync.WaitGroup
	errs := make([]error, fillConc)
	for i := range fillConc {
		all.Go(func() {
			for claimed.Add(1) <= n && errs[i] == nil {
				errs[i] = write(context.Background())
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// manyMembers measures a cluster of so many.
func manyMembers(spec childSpec, emit func(point)) (err error) {
	b, err := openBalsa(spec.Dir, spec.Voters, func() balsaMachine { return &counter{} })
	if err != nil {
		return err
	}
	c := b.cluster()
	defer func() { err = errors.Join(err, c.close()) }()
	made := &commands{payload: 128}
	write := c.operation(opWrite, made.next)
	warm, r := drive(write, scaleConc, spec.WarmUp), drive(write, scaleConc, spec.Length)
	p := resultPoint(ownName, float64(spec.Voters), r)
	p.Values[valCPUMember] = r.CPUusPerOp / float64(spec.Voters)
	emit(p)
	return awaitApplied(system{name: ownName}, c, warm.done+r.done, callTimeout)
}
