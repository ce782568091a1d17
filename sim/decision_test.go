package sim

import (
	"slices"
	"testing"
	"time"
)

func TestDecisionsText(t *testing.T) {
	for _, test := range []struct{ in, out string }{
		{"", ""},
		{"loss,power", "power,loss"},
		{"nothing", "nothing"},
		{"calls,f3,f2,f5-6,f7,a3", "calls,a3,f2-3,f5-7"},
		{"keys,delay.append,loss.vote,loss.append.vote,bursts,loss", "loss,loss.vote.append,delay.append,bursts,keys"},
		{"loss.but.append,duplicate.but.read.vote", "loss.but.append,duplicate.but.vote.read"},
		{"simple,values", "simple"},
		{"m1/2.append.17,m12/3.vote.1,m1/2.append.18-19,f1", "m12/3.vote.1,m1/2.append.17-19,f1"},
		{"c1000.4-6,c3,c2.5,c3.1", "c3,c2.5,c1000.4-6"},
	} {
		o, err := ParseDecisions(test.in)
		if err != nil || o.String() != test.out {
			t.Errorf("%q becomes %q, %v; want %q", test.in, o, err, test.out)
		}
	}
	for _, in := range []string{"x", "f", "f0", "f3-2", "f1-99999999", "c", "cx", "c1.", "c1.0", "c99999999", "none", "f-3", "f1.2", "loss.", "loss.x", "kill.append", "loss.but.", "loss.but.x", "m", "m1", "m1/2", "m1/2.append", "m1/2.x.3", "m1/200.append.3", "m1/2.append.0"} {
		if o, err := ParseDecisions(in); err == nil {
			t.Errorf("%q becomes %q", in, o)
		}
	}
}

func FuzzDecisions(f *testing.F) {
	f.Add("calls,f3,f2,f5-6,f7,c1,c2.3-4,loss")
	f.Fuzz(func(t *testing.T, in string) {
		o, err := ParseDecisions(in)
		if err != nil {
			return
		}
		if again, err := ParseDecisions(o.String()); err != nil || again.String() != o.String() {
			t.Errorf("%q becomes %q and then %q, %v", in, o, again, err)
		}
	})
}

// TestFlags: what repeats a run can be read again.
func TestFlags(t *testing.T) {
	without, err := ParseDecisions("loss,c2,f3-4")
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Seed: 1, Members: 3, Faults: FaultKill | FaultLoss, Workload: "reads", Without: without}
	if got, want := o.Flags("--"), " --members=3 --faults=kill,loss --workload=reads --without=loss,c2,f3-4"; got != want {
		t.Errorf("the flags are %q, want %q", got, want)
	}
	if f, err := ParseFaults("kill,loss"); err != nil || f != o.Faults {
		t.Errorf("the faults are %v, %v", f, err)
	}
	for _, in := range []string{"x", "none,kill", "all,none"} {
		if f, err := ParseFaults(in); err == nil {
			t.Errorf("%q are the faults %v", in, f)
		}
	}
	for _, o := range []Options{{Workload: "x"}, {Only: without}, {Members: 10}, {Duration: -1}} {
		if _, err := Run(o); err == nil {
			t.Errorf("%+v is run", o)
		}
	}
	for _, workload := range Workloads {
		if _, err := Run(Options{Seed: 2, Duration: 5 * 1e9, Workload: workload}); err != nil {
			t.Error(err)
		}
	}
}

// TestWithoutOne: what is left out leaves the rest as it was, as far as its consequences let it.
func TestWithoutOne(t *testing.T) {
	run := func(seed uint64, without string) (ds []Decision, r *Report) {
		set, err := ParseDecisions(without)
		if err != nil {
			t.Fatal(err)
		}
		r, err = Run(Options{Seed: seed, Members: 3, Faults: AllFaults, Without: set, decided: func(d Decision) { ds = append(ds, d) }})
		if err != nil {
			t.Fatal(err)
		}
		return ds, r
	}
	same, of := 0, 0
	for seed := uint64(4); seed < 9; seed++ {
		all, first := run(seed, "")
		if _, again := run(seed, "f999"); again.Trace != first.Trace {
			t.Errorf("seed %d: the run is another one without what is not there: %x, %x", seed, again.Trace, first.Trace)
		}
		numbers := make(map[Decision]bool)
		for _, d := range all {
			numbers[d] = true
		}
		left := all[len(all)/2]
		fewer, _ := run(seed, left.String())
		of += len(all)
		for _, d := range fewer {
			if d == left {
				t.Errorf("%v happens, and was left out", d)
			}
			if numbers[d] {
				same++
			}
		}
	}
	if same < of*8/10 {
		t.Errorf("of %d decisions %d are left without one", of, same)
	}
	if _, r := run(4, "power,kill,blackout,disk-error,read-error,full,rot,wipe,calls,usurp,stall,members"); r.PowerCuts > 0 || r.DiskErrors > 0 || r.Wipes > 0 || r.Usurpations > 0 {
		t.Errorf("faults happen that are left out: %+v", r.Counts)
	}
}

// TestMishapsHaveNames: one message that is lost is left out, and nothing but its consequences changes; and all but one are.
func TestMishapsHaveNames(t *testing.T) {
	run := func(o Options) (ds []Decision) {
		o.Seed, o.Members, o.Faults, o.Duration, o.Workload = 3, 3, FaultLoss, 10*time.Second, "idle"
		o.decided = func(d Decision) {
			if d.ofMessage() {
				ds = append(ds, d)
			}
		}
		if _, err := Run(o); err != nil {
			t.Fatal(err)
		}
		return ds
	}
	all := run(Options{})
	if len(all) < 10 {
		t.Fatalf("%d messages are lost", len(all))
	}
	var one Options
	middle := all[len(all)/2]
	one.Without.addDecision(middle)
	if left := run(one); slices.Contains(left, middle) || !slices.Equal(left[:len(all)/2], all[:len(all)/2]) {
		t.Errorf("without %v of %v there remain %v", middle, all, left)
	}
	var rest Options
	rest.Only.addDecision(all[0])
	if left := run(rest); !slices.Equal(left, all[:1]) {
		t.Errorf("with %v alone there are %v", all[0], left)
	}
}
