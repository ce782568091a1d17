package sim

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// FuzzSchedule searches schedules by what of the code they reach, beside random seeds: the bytes decide the seed, the members, what of the seed's decisions
// is left out, and which faults come on top, at which moment, on whom.
//
//	go test ./sim -run '^$' -fuzz FuzzSchedule -fuzztime 10m
func FuzzSchedule(f *testing.F) {
	f.Add([]byte{1, 0, 3})
	f.Add([]byte{7, 0, 5, 0, 20, 1, 0, 21, 2, 3, 30, 0, 130, 4})
	f.Add([]byte{2, 1, 3, 11, 10, 0, 12, 20, 1, 5, 30, 2, 200, 3, 129, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		o := schedule(b)
		if _, err := Run(o); err != nil {
			// Not made smaller here: this runs many times while Go looks for fewer bytes.
			t.Fatalf("%v\nreplay: go test ./sim -run Seeds -seed=%d%s -v\nor:     balsa sim replay %d%s --small", err, o.Seed, o.Flags("-"), o.Seed, o.Flags("--"))
		}
	})
}

const (
	scheduleSpan = 15 * time.Second
	scheduleMax  = 60 // faults that are added, and decisions that are left out
)

// schedule makes a run of any bytes.
func schedule(b []byte) Options {
	o, harms := Options{Seed: 1, Duration: scheduleSpan}, new(world).harmsThatCanBe()
	if len(b) >= 3 {
		o.Seed += uint64(binary.LittleEndian.Uint16(b))
		o.Members = []int{0, 1, 3, 5}[b[2]%4]
		b = b[3:]
	}
	for range scheduleMax {
		switch {
		case len(b) >= 3 && b[0] < 128:
			at := (scheduleSpan * time.Duration(b[1]) / 256).Round(time.Millisecond)
			o.Add, b = append(o.Add, Added{Fault: harms[int(b[0])%len(harms)].fault, Member: 1 + raft.NodeID(b[2])%addedMemberMax, At: at}), b[3:]
		case len(b) >= 2 && b[0] < 192:
			o.Without.addDecision(Decision{Source: sourceNemesis, Number: 1 + int(b[1])})
			b = b[2:]
		case len(b) >= 2 && b[0] < 224:
			o.Without.addDecision(Decision{Source: sourceAmbush, Number: 1 + int(b[1])})
			b = b[2:]
		case len(b) >= 2:
			o.Without.addDecision(Decision{Source: int(b[0]) % 10, Number: 1 + int(b[1])})
			b = b[2:]
		}
	}
	return o
}

// TestSchedule: bytes are a run, and always the same one; what they add happens.
func TestSchedule(t *testing.T) {
	b := []byte{9, 0, 2, 0, 50, 1, 3, 100, 0, 130, 1, 200, 2, 230, 3}
	o := schedule(b)
	if got, want := o.Flags("-"), " -members=3 -duration=15s -without=a3,f2,c0.4 -add=power.n2@2.93s,partition.n1@5.859s"; got != want {
		t.Errorf("the schedule is %s, want %s", got, want)
	}
	first, err := Run(o)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Run(schedule(b))
	compareRuns(t, first, again)
	o.Add = nil
	if other, _ := Run(o); other.Trace == first.Trace {
		t.Error("the faults that are added change nothing")
	}
}
