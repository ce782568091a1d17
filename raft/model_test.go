package raft

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"
)

var (
	exploreBound = flag.String("explore.bound", "", "other bounds for the models that TestModel runs, as in terms=3,crash=2,depth=0")
	exploreTime  = flag.Duration("explore.time", 0, "stop a model after this time")
)

// inputNames is how -explore.bound calls what can happen.
var inputNames = map[string]inputKind{
	"crash": inputCrash, "campaign": inputCampaign, "timeout": inputTimeout, "patience": inputPatience, "heartbeat": inputHeartbeat,
	"quorumlost": inputQuorumLost, "propose": inputPropose, "read": inputRead, "transfer": inputTransfer, "transferend": inputTransferEnd, "change": inputChange, "compact": inputCompact,
}

// bounded is m with other bounds.
func (m model) bounded(bounds string) (model, error) {
	for bound := range strings.SplitSeq(bounds, ",") {
		if bound == "" {
			continue
		}
		var n int
		name, value, _ := strings.Cut(bound, "=")
		if _, err := fmt.Sscan(value, &n); err != nil {
			return m, fmt.Errorf("-explore.bound: %q is not a name and a number: %w", bound, err)
		}
		kind, isInput := inputNames[name]
		switch {
		case isInput:
			m.max[kind] = n
		case name == "terms":
			m.terms = Term(n)
		case name == "duplicates":
			m.duplicates = n
		case name == "depth":
			m.depth = n
		case name == "disk" && n <= int(diskLies):
			m.disk = diskKind(n)
		default:
			return m, fmt.Errorf("-explore.bound: %q cannot be", bound)
		}
	}
	if int(m.terms)+m.max[inputTransfer]+m.max[inputChange] > modelTermsMax || m.max[inputRead] > modelReadsMax {
		return m, fmt.Errorf("-explore.bound: at most %d terms, of which a transfer and a change can take one each, and %d reads", modelTermsMax, modelReadsMax)
	}
	return m, nil
}

var three = model{servers: 3, configuration: NewConfiguration(1, 2, 3), alike: []NodeID{1, 2, 3}}

// removal takes away all voters but one, replacement all but one and makes a learner a voter: then the new voters could decide without any of the
// others, who do not yet know it.
var (
	removal = model{
		servers: 3, folders: true, configuration: withFolders(NewConfiguration(1, 2, 3)), alike: []NodeID{2, 3},
		changes: []Change{{Members: voters(1)}, {Members: voters(1, 2, 3)}},
	}
	replaced = model{
		servers: 3, folders: true, configuration: withFolders(NewConfiguration(1, 2), 3),
		changes: []Change{{Members: voters(2, 3)}, {Members: voters(1, 3)}},
	}
	replacement = model{
		servers: 4, folders: true, configuration: withFolders(NewConfiguration(1, 2, 3), 4), alike: []NodeID{2, 3},
		changes: []Change{{Members: voters(1, 4)}},
	}
)

func voters(ids ...NodeID) []Member { return NewConfiguration(ids...).Members }

// withFolders is c with learners, and with the data folders of all written down.
func withFolders(c Configuration, learners ...NodeID) Configuration {
	for _, id := range learners {
		c.Members = append(c.Members, Member{ID: id, Suffrage: Learner, Target: Learner})
	}
	for i := range c.Members {
		c.Members[i].Incarnation = uint64(c.Members[i].ID)
	}
	return c
}

// models are what TestModel explores, with bounds that take a moment.
var models = []struct {
	model
	name, bounds string
	prelude      []happening
}{
	{model: three, name: "disks", bounds: "disk=0,terms=1,campaign=2,crash=1"},
	{model: three, name: "restarts", bounds: "disk=0,terms=2,campaign=2,crash=1,depth=14"},
	{model: three, name: "terms", bounds: "disk=1,terms=3,campaign=3,depth=13"},
	{model: three, name: "commands", bounds: "disk=1,terms=2,campaign=1,propose=2,depth=11", prelude: elected},
	{model: three, name: "copies", bounds: "disk=1,terms=2,campaign=1,propose=1,duplicates=2,depth=9", prelude: elected},
	{model: three, name: "reads", bounds: "disk=1,terms=2,campaign=1,propose=1,read=1,depth=10", prelude: elected},
	{model: three, name: "timers", bounds: "disk=1,terms=2,timeout=2,depth=12"},
	{model: three, name: "handover", bounds: "disk=1,terms=2,timeout=1,patience=2,quorumlost=1,heartbeat=1,transfer=1,transferend=1,depth=9", prelude: elected},
	{model: three, name: "snapshots", bounds: "disk=1,terms=2,campaign=1,propose=1,compact=1,heartbeat=1,depth=10", prelude: elected},
	{model: three, name: "compaction", bounds: "disk=0,terms=2,campaign=1,compact=2,propose=1,crash=1,depth=8", prelude: elected},
	{model: removal, name: "removal", bounds: "disk=1,terms=2,campaign=1,change=1,depth=11", prelude: elected},
	{model: replaced, name: "replaced", bounds: "disk=1,terms=2,campaign=1,change=1,depth=11", prelude: elected},
	{model: replacement, name: "replacement", bounds: "disk=1,terms=2,campaign=1,change=1,depth=11", prelude: elected},
}

// elected is that n1 has become leader of term 1.
var elected = []happening{{server: 1, input: input{inputCampaign, 0}}}

// TestModel explores every schedule of a few servers within bounds: see docs/testing.md.
func TestModel(t *testing.T) {
	for _, of := range models {
		t.Run(of.name, func(t *testing.T) {
			bounds := of.bounds + "," + *exploreBound
			m, err := of.model.bounded(bounds)
			if err != nil {
				t.Fatal(err)
			}
			m.name, m.prelude = of.name, of.prelude
			began := time.Now()
			var until time.Time
			if *exploreTime > 0 {
				until = began.Add(*exploreTime)
			}
			x := explore(m, until)
			t.Logf("%s\n%v, in %v", bounds, x, time.Since(began).Round(time.Millisecond))
			if x.broken != "" {
				t.Fatalf("the shortest schedule:\n%s", x.story())
			}
			if why := x.checkDead(); why != "" {
				t.Error(why)
			}
		})
	}
}

// TestModelSeesADiskThatLies: a host that says that a save is durable before it is breaks what it must not, and the shortest way to it is told.
func TestModelSeesADiskThatLies(t *testing.T) {
	for bounds, want := range map[string]string{
		"disk=2,terms=1,campaign=2,crash=1":           "S7 one vote a term", // it forgets its vote
		"disk=2,terms=1,campaign=1,propose=1,depth=9": "S6 committed is durable",
	} {
		m, err := three.bounded(bounds)
		if err != nil {
			t.Fatal(err)
		}
		x := explore(m, time.Time{})
		if !strings.Contains(x.broken, want) || !strings.Contains(x.story(), x.broken) {
			t.Errorf("%s: found %q, want %q", bounds, x.broken, want)
		}
	}
}

// TestModelFolds: that members trade places takes no state away. All states, each as it is with the smallest of its names, are those that are
// explored if only one of each is.
func TestModelFolds(t *testing.T) {
	m, err := three.bounded("disk=1,terms=2,campaign=2,depth=11")
	if err != nil {
		t.Fatal(err)
	}
	folds := explore(m, time.Time{})
	all := &explorer{model: m.prepare(), folded: map[uint64]struct{}{}}
	all.run(time.Time{})
	if len(all.folded) != len(folds.states) || len(all.states) < 5*len(folds.states) {
		t.Errorf("of %d states there are %d but for their names; %d were explored", len(all.states), len(all.folded), len(folds.states))
	}
}
