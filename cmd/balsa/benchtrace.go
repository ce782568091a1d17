package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/balsa-raft/balsa"
	"github.com/balsa-raft/balsa/trace"
)

const (
	traceMembers     = 3
	traceDuration    = 5 * time.Second
	traceWarmUp      = 500 * time.Millisecond
	traceCommand     = 128 // bytes
	traceCallTimeout = 10 * time.Second
	traceLeaderWait  = 30 * time.Second

	traceHopsMax  = 1 << 20 // of a member; 56 bytes each
	traceCallsMax = 1 << 19 // of all clients
)

// traceDefaults: a trace is of one client unless more are asked for.
func (b *bench) traceDefaults(changed func(flag string) bool) {
	if !changed("clients") {
		b.clients = 1
	}
	if !changed("duration") {
		b.duration = traceDuration
	}
	if !changed("value-size") {
		b.valueSize = traceCommand
	}
}

// traceMachine is a state machine that does nothing, so that all the time is Balsa's.
type traceMachine struct{}

func (traceMachine) Apply(batch iter.Seq[balsa.Entry[[]byte, struct{}]]) error {
	for range batch {
	}
	return nil
}
func (traceMachine) Snapshot() (func(io.Writer) error, error) {
	return func(io.Writer) error { return nil }, nil
}
func (traceMachine) Restore(io.Reader) error { return nil }

// traceCluster is three members in this process, with disks and sockets of their own.
type traceCluster struct {
	start     time.Time
	nodes     []*balsa.Node[[]byte, struct{}]
	recorders []*trace.Recorder
	leader    *balsa.Node[[]byte, struct{}]
}

// runTrace measures where the time of one write goes.
func (a *app) runTrace(ctx context.Context, b *bench) (err error) {
	dir, err := os.MkdirTemp("", "balsa-trace-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	c := &traceCluster{start: time.Now()}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.open(ctx, dir); err != nil {
		return err
	}
	warm := *b
	warm.duration, warm.total = traceWarmUp, 0
	if _, err := c.load(ctx, &warm); err != nil {
		return err
	}
	for _, r := range c.recorders {
		r.Take()
	}
	began := time.Now()
	calls, err := c.load(ctx, b)
	if err != nil {
		return err
	}
	r := c.report(b, calls, time.Since(began))
	if r.Traced == 0 {
		return errors.New("no write could be traced from its beginning to its end")
	}
	return (&printer{w: a.stdout, format: b.client.write}).trace(r)
}

func (c *traceCluster) open(ctx context.Context, dir string) error {
	members, err := freeMembers(traceMembers)
	if err != nil {
		return err
	}
	for _, m := range members {
		recorder := trace.NewRecorder(c.start, traceHopsMax)
		n, err := balsa.Open(ctx, balsa.Config{
			Dir: filepath.Join(dir, fmt.Sprint(m.ID)), ID: m.ID, Members: members, Tracer: recorder, Logger: slog.New(slog.DiscardHandler),
		}, traceMachine{})
		if err != nil {
			return err
		}
		c.nodes, c.recorders = append(c.nodes, n), append(c.recorders, recorder)
	}
	for deadline := time.Now().Add(traceLeaderWait); time.Now().Before(deadline) && pause(ctx, 10*time.Millisecond); {
		for _, n := range c.nodes {
			if n.Status().Role == "leader" {
				c.leader = n
				return nil
			}
		}
	}
	return errors.Join(errors.New("the cluster has no leader"), ctx.Err())
}

// freeMembers chooses ports that are free now.
func freeMembers(n int) (members []balsa.Member, err error) {
	for i := range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // after all are chosen, so that they differ
		members = append(members, balsa.Member{ID: balsa.NodeID(i + 1), Address: l.Addr().String()})
	}
	return members, nil
}

func (c *traceCluster) close() (err error) {
	for _, n := range c.nodes {
		err = errors.Join(err, n.Close())
	}
	return err
}

// load lets each client write, wait and write again. Ctrl-C ends it, and what was measured counts.
func (c *traceCluster) load(ctx context.Context, b *bench) ([]trace.Call, error) {
	callCtx, cancel := context.WithTimeout(context.Background(), b.duration+traceCallTimeout)
	defer cancel()
	all := make([][]trace.Call, b.clients)
	errs := make([]error, b.clients)
	var clients sync.WaitGroup
	end := time.Now().Add(b.duration)
	for i := range b.clients {
		clients.Go(func() {
			for ctx.Err() == nil && time.Now().Before(end) && errs[i] == nil {
				call := trace.Call{Start: time.Since(c.start)}
				var r balsa.Result[struct{}]
				r, errs[i] = c.leader.Propose(callCtx, make([]byte, b.valueSize))
				call.End, call.Index = time.Since(c.start), r.Index
				if len(all[i]) < traceCallsMax/b.clients {
					all[i] = append(all[i], call)
				}
			}
		})
	}
	clients.Wait()
	var calls []trace.Call
	for i := range all {
		calls = append(calls, all[i]...)
	}
	return calls, errors.Join(errs...)
}

// traceReport is what was measured, as it is written in JSON. Times are in microseconds.
type traceReport struct {
	Clients      int         `json:"clients"`
	CommandBytes int         `json:"commandBytes"`
	Seconds      float64     `json:"seconds"`
	Writes       int         `json:"writes"`
	Traced       int         `json:"traced"` // of them, from the beginning to the end
	P50          float64     `json:"p50"`
	P99          float64     `json:"p99"`
	DiskShare    float64     `json:"diskShare"` // of the writes that were committed when the leader's disk had them
	Steps        []traceStep `json:"steps"`
}

// traceStep is one row.
type traceStep struct {
	Part  string  `json:"part"`
	Name  string  `json:"name"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Share float64 `json:"share"` // of the time that the writes' callers waited
}

// The parts of the way. Those of the leader's disk and of a follower go on at the same time.
const (
	partLeader   = "the leader"
	partDisk     = "its disk, meanwhile"
	partFollower = "a follower, meanwhile"
	partEnd      = "the leader, when a majority has it"
)

// traceSteps names the legs, with the numbers that the steps have in ARCHITECTURE.md.
var traceSteps = [trace.LegCount]struct{ part, name string }{
	trace.LegTaken:             {partLeader, "1-2 proposed, and taken from the shard's inbox"},
	trace.LegStepped:           {partLeader, "3-4 stepped: appended by the core"},
	trace.LegHandedOut:         {partLeader, "5   effects handed out"},
	trace.LegBegun:             {partDisk, "6   the log's writer begins"},
	trace.LegWritten:           {partDisk, "7   written"},
	trace.LegSynced:            {partDisk, "7   synced"},
	trace.LegMatched:           {partDisk, "8   own match moved"},
	trace.LegSent:              {partFollower, "6   sent to the peer"},
	trace.LegReceived:          {partFollower, "    received there"},
	trace.LegFollowerHandedOut: {partFollower, "    stepped there, effects handed out"},
	trace.LegFollowerBegun:     {partFollower, "    its log's writer begins"},
	trace.LegFollowerWritten:   {partFollower, "    written"},
	trace.LegFollowerSynced:    {partFollower, "    synced"},
	trace.LegAcknowledged:      {partFollower, "8   its answer is sent"},
	trace.LegHeard:             {partFollower, "9   its answer has arrived"},
	trace.LegCommitted:         {partEnd, "10  committed"},
	trace.LegApplying:          {partEnd, "11  given to the state machine"},
	trace.LegApplied:           {partEnd, "11  applied"},
	trace.LegAnswered:          {partEnd, "12  the caller has the answer"},
}

func (c *traceCluster) report(b *bench, calls []trace.Call, took time.Duration) *traceReport {
	var hops []trace.Hop
	for _, r := range c.recorders {
		kept, _ := r.Take() // of calls whose hops are lost nothing is said
		hops = append(hops, kept...)
	}
	s := trace.Summarize(trace.Ways(c.leader.Status().ID, traceMembers, hops, calls))
	r := &traceReport{
		Clients: b.clients, CommandBytes: b.valueSize, Seconds: took.Seconds(), Writes: len(calls), Traced: s.Ways,
		P50: microseconds(s.P50), P99: microseconds(s.P99), DiskShare: s.DiskShare,
	}
	for l, leg := range s.Legs {
		r.Steps = append(r.Steps, traceStep{traceSteps[l].part, traceSteps[l].name, microseconds(leg.P50), microseconds(leg.P99), leg.Share})
	}
	return r
}

func (p *printer) trace(r *traceReport) error {
	switch p.format {
	case "json":
		return p.json(r)
	case "table":
		var rows [][]string
		for _, s := range r.Steps {
			rows = append(rows, []string{s.Part, s.Name, traceTime(s.P50), traceTime(s.P99), traceShare(s.Share)})
		}
		p.table([]string{"part", "step", "median", "p99", "share"}, rows)
		return nil
	}
	fmt.Fprintf(p.w, "%s writes traced, of %d bytes, %d at a time, three members in one process: p50 %s, p99 %s\n",
		commas(float64(r.Traced)), r.CommandBytes, r.Clients, latencyText(ofMicroseconds(r.P50)), latencyText(ofMicroseconds(r.P99)))
	fmt.Fprintf(p.w, "The majority waited for the leader's disk in %.0f%% of them, and for a follower in the others.\n", 100*r.DiskShare)
	const widthMax = 30
	part := ""
	for _, s := range r.Steps {
		if s.Part != part {
			part = s.Part
			fmt.Fprintf(p.w, "\n%-50s %9s %9s %9s\n", part, "median", "p99", "share")
		}
		fmt.Fprintln(p.w, strings.TrimRight(fmt.Sprintf("  %-48s %9s %9s %9s  %s", s.Name, traceTime(s.P50), traceTime(s.P99), traceShare(s.Share),
			strings.Repeat("#", int(s.Share*widthMax+0.5))), " "))
	}
	fmt.Fprint(p.w, "\nTimes are in microseconds since the step before; those of disk and follower begin when the effects were handed out. Share is of\n"+
		"the time that callers waited: of disk and follower that of the one that the majority waited for. The follower is the last that it took.\n")
	return nil
}

func traceTime(us float64) string     { return fmt.Sprintf("%.1f", us) }
func traceShare(share float64) string { return fmt.Sprintf("%.1f%%", 100*share) }
