package sim

import (
	"testing"
	"time"
)

// TestDrop: what is needed stays, and nothing else.
func TestDrop(t *testing.T) {
	for _, needed := range [][]int{{}, {0}, {99}, {3, 50}, {3, 4, 5, 98}} {
		left := make(map[int]bool)
		var items []int
		for i := range 100 {
			left[i] = true
			items = append(items, i)
		}
		tries := 0
		drop(items, func(some []int) bool {
			tries++
			for _, i := range some {
				for _, n := range needed {
					if i == n {
						return false
					}
				}
			}
			for _, i := range some {
				if !left[i] {
					t.Errorf("%d is left out twice", i)
				}
				delete(left, i)
			}
			return true
		})
		if len(left) != len(needed) || tries > 60 {
			t.Errorf("%v are needed, and %v are left after %d tries", needed, left, tries)
		}
	}
}

// TestShrink makes a run small that fails because of one fault: a disk that errs counts as a failure here.
func TestShrink(t *testing.T) {
	o := Options{Members: 3, Duration: 20 * time.Second, Faults: FaultDiskError | FaultKill | FaultLoss | FaultPause, planted: true, Seed: 1}
	var s *Shrunk
	for tries := 0; ; o.Seed++ {
		r, err := Run(o)
		if err == nil || r.Kills < 2 {
			continue
		}
		if s, err = Shrink(o, 20*time.Second, nil); err != nil {
			t.Fatal(err)
		}
		if s.Violation.Property == plantedProperty && s.After.Faults == 1 && s.After.Kinds == 1 && s.After.Time <= s.Before.Time {
			break
		}
		// Of some seeds more is left: without it the disk that errs has nothing to do.
		if tries++; tries == 4 {
			t.Fatalf("of %v there remains %v, %v", s.Before, s.After, s.Violation)
		}
	}
	if s.After.Steps > s.Before.Steps/2 || s.Options.Without.simple == 0 {
		t.Errorf("it is not simpler: of %v there remains %v: %s", s.Before, s.After, s.Options.Flags("-"))
	}
	if _, again := Run(s.Options); again == nil || again.Error() != s.Violation.Error() {
		t.Errorf("%s fails with %v, and then with %v", s.Options.Flags("-"), s.Violation, again)
	}
	o.planted = false
	if _, err := Shrink(o, time.Second, nil); err == nil {
		t.Error("a run is made smaller that does not fail")
	}
	t.Logf("%v; %v; %s", s.Before, s.After, s.Options.Flags("-"))
}
