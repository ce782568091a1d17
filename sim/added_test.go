package sim

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// TestAdded: faults that are added are written as they are read.
func TestAdded(t *testing.T) {
	text := "power.n2@2.93s,partition.n1@5.859s,slow-link.n18@0s"
	all, err := ParseAdded(text)
	if got := strings.TrimSpace(Options{Add: all}.Flags("-")); err != nil || got != "-add="+text {
		t.Errorf("%s is read as %s, %v", text, got, err)
	}
	if all, err := ParseAdded(""); err != nil || len(all) != 0 {
		t.Errorf("nothing is read as %v, %v", all, err)
	}
	for _, bad := range []string{"power", "power.n2", "power@1s", "power.n0@1s", "power.n19@1s", "power.n1@-1s", "power.n1@x", "loss.n1@1s", "none.n1@1s", ".n1@1s", "@", strings.Repeat("power.n1@1s,", addedMax+1)} {
		if all, err := ParseAdded(bad); err == nil {
			t.Errorf("%.40q is read as %v", bad, all)
		}
	}
	if err := (Options{Add: []Added{{Fault: FaultLoss, Member: 1}}}).Check(); err == nil {
		t.Error("a lost message is added to a member")
	}
}

// TestShrinkAdded: of the faults that are added those stay that are needed.
func TestShrinkAdded(t *testing.T) {
	o := Options{Seed: 3, Members: 3, Duration: 10 * time.Second, Faults: FaultNone, planted: true}
	var err error
	if o.Add, err = ParseAdded("power.n1@1s,kill.n2@2s,disk-error.n3@3s,pause.n1@4s"); err != nil {
		t.Fatal(err)
	}
	s, err := Shrink(o, 2*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	if left := s.Options.Add; len(left) > 2 || !slices.Contains(left, o.Add[2]) || s.Before.Faults != 4 || s.After.Faults != len(left) {
		t.Errorf("of %v there remains %v: %s", s.Before, s.After, s.Options.Flags("-"))
	}
	if _, again := Run(s.Options); again == nil || again.Error() != s.Violation.Error() {
		t.Errorf("%s fails with %v, and then with %v", s.Options.Flags("-"), s.Violation, again)
	}
}

// FuzzAdded: whatever is read is written so that it is read again.
func FuzzAdded(f *testing.F) {
	f.Add("power.n2@2.93s,partition.n1@5.859s")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := ParseAdded(text)
		if err != nil {
			return
		}
		again, err := ParseAdded(strings.TrimPrefix(strings.TrimSpace(Options{Add: all}.Flags("-")), "-add="))
		if err != nil || !slices.Equal(all, again) {
			t.Errorf("%v is read again as %v, %v", all, again, err)
		}
	})
}
