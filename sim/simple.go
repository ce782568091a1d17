package sim

import (
	"slices"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/host"
)

// simple is a set of what makes a run harder to read than it has to be, and is left out of it: --without names it. What is drawn stays as it is, so a run in
// which something is simple is otherwise as like the run of its seed as can be.
type simple uint32

// Each has a name, and says what is put in place of what the seed has decided.
var simples = []struct {
	name, meaning string
	make          func(k *knobs)
}{
	{"bursts", "clients hand in one write at a time", func(k *knobs) { k.burstMax = 1 }},
	{"values", "commands are as short as can be", func(k *knobs) { k.valueBytes = 0 }},
	{"keys", "there is one register", func(k *knobs) { k.keys = 1 }},
	{"reads", "clients only write", func(k *knobs) { k.readPart = 0 }},
	{"sessions", "no client has a session", func(k *knobs) { k.patrons = 0 }},
	// With default limits nothing is compacted in so short a run.
	{"snapshots", "no log is long enough for a snapshot", func(k *knobs) { k.compaction, k.padding = host.CompactionOptions{}, 0 }},
	{"journals", "no machine keeps its state by itself", func(k *knobs) { k.keeps = false }},
	{"limits", "limits of batches, queues and files are as by default", (*knobs).withoutLimits},
	{"latency", "messages are quick, unless one is late on purpose", func(k *knobs) { k.latency = 5 * time.Millisecond }},
	{"lateness", "late messages are a little late, and no copies are", func(k *knobs) { k.lateMax, k.lateCopies = min(k.lateMax, k.electionTimeout()/4), 0 }},
	{"elections", "election timeouts are as long as by default", func(k *knobs) { k.raft.ElectionTicks = 10 }},
	{"leases", "reads are linearizable and ask a majority", func(k *knobs) { k.leases = leases{weights: [levels]int{1}} }},
	{"priorities", "no member is to lead rather than another", func(k *knobs) {
		for i := range k.raft.Configuration.Members {
			k.raft.Configuration.Members[i].Priority = 0
		}
	}},
	{"spares", "there are no servers but the members", func(k *knobs) { k.spares = 0 }},
	{"drift", "all clocks go equally fast, and are not set back", func(k *knobs) { k.drift, k.setBack = 0, false }},
}

func (k *knobs) withoutLimits() {
	k.raft.AppendBytesMax, k.raft.InflightBytesMax, k.raft.UncommittedBytesMax, k.raft.ApplyBytesMax, k.raft.CacheBytesMax = 0, 0, 0, 0, 0
	k.segmentBytes, k.pendingBytes = 128<<10, 0
	k.sessions = host.SessionLimits{}
}

// simplest is all of it, by the name of simpleAll.
var simplest = simple(1)<<len(simples) - 1

const simpleAll = "simple"

// simpleOf is the set of one name.
func simpleOf(name string) (simple, bool) {
	if name == simpleAll {
		return simplest, true
	}
	for i := range simples {
		if simples[i].name == name {
			return 1 << i, true
		}
	}
	return 0, false
}

func (s simple) names() (names []string) {
	if s == simplest {
		return []string{simpleAll}
	}
	return s.each()
}

func (s simple) each() (names []string) {
	for i := range simples {
		if s&(1<<i) != 0 {
			names = append(names, simples[i].name)
		}
	}
	return names
}

// simplify puts what is simple in place of what the seed has decided.
func (k *knobs) simplify(s simple) {
	for i := range simples {
		if s&(1<<i) != 0 {
			simples[i].make(k)
		}
	}
}

// mishapsLeftOut says of which kinds of messages none is lost, doubled or late, although others are.
type mishapsLeftOut map[mishapOf]bool

type mishapOf struct {
	fault Faults // FaultLoss, FaultDuplicate or FaultDelay
	kind  int    // of messages
}

// mishapFaults are the faults that happen to single messages.
var mishapFaults = []Faults{FaultLoss, FaultDuplicate, FaultDelay}

// messageNames are the kinds of messages, as kindOf numbers them.
var messageNames = [messageKinds]string{
	"vote", "vote-reply", "append", "append-reply", "forward", "forward-reply", "read", "timeout-now", "snapshot", "snapshot-reply", "other",
}

// allMishaps are all that there can be, in the order in which a set names them.
func allMishaps() (all []mishapOf) {
	for _, f := range mishapFaults {
		for kind := range messageKinds {
			all = append(all, mishapOf{f, kind})
		}
	}
	return all
}

// mishapsNamed reads what words has written.
func mishapsNamed(word string) (ms []mishapOf, ok bool) {
	fault, kinds, ok := strings.Cut(word, ".")
	but := false
	if f, rest, is := strings.Cut(word, butMark); is {
		fault, kinds, but = f, rest, true
	}
	f, known := faultOf(fault)
	if !ok || !known || !slices.Contains(mishapFaults, f) {
		return nil, false
	}
	named := strings.Split(kinds, ".")
	for _, name := range named {
		if !slices.Contains(messageNames[:], name) {
			return nil, false
		}
	}
	for kind, name := range messageNames {
		if slices.Contains(named, name) != but {
			ms = append(ms, mishapOf{f, kind})
		}
	}
	return ms, true
}

const butMark = ".but."

// words name the set: loss.append.vote, or loss.but.append for all but it.
func (out mishapsLeftOut) words() (words []string) {
	for _, f := range mishapFaults {
		var in, but []string
		for kind, name := range messageNames {
			if out[mishapOf{f, kind}] {
				in = append(in, name)
			} else {
				but = append(but, name)
			}
		}
		switch {
		case len(in) == 0:
		case len(but) > 0 && len(but) < len(in):
			words = append(words, f.String()+butMark+strings.Join(but, "."))
		default:
			words = append(words, f.String()+"."+strings.Join(in, "."))
		}
	}
	return words
}

// spare lets nothing happen to messages of some kinds.
func (k *knobs) spare(out mishapsLeftOut) {
	for _, m := range allMishaps() {
		if !out[m] {
			continue
		}
		switch of := &k.kinds[m.kind]; m.fault {
		case FaultLoss:
			of.lost = 0
		case FaultDuplicate:
			of.duplicated = 0
		case FaultDelay:
			of.late = 0
		}
	}
}
