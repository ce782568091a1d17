package sim

import (
	"slices"
	"strings"
	"testing"
)

// TestCoverageEmpty: a cell that stays empty is named, if there were enough runs to fill it.
func TestCoverageEmpty(t *testing.T) {
	var all Coverage
	for s := range all.States {
		all.States[s] = 1
	}
	for f := range all.Pairs {
		for a := range all.Pairs[f] {
			all.Pairs[f][a] = 1
		}
	}
	if names := all.Empty(runsMany); len(names) > 0 {
		t.Errorf("nothing is empty, and %q are said to be", names)
	}
	var c Coverage
	if names := c.Empty(runsUsual - 1); len(names) > 0 {
		t.Errorf("after few runs %q are demanded", names)
	}
	names := c.Empty(runsUsual)
	for _, want := range []string{stateNames[truncatesBoth], "power x joint", "usurp x start", "power x election"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is empty, and not among %q", want, names)
		}
	}
	for _, rare := range []string{stateNames[figureD], stateNames[tornHole], "wipe x save", "wipe x joint"} {
		if slices.Contains(names, rare) {
			t.Errorf("%q is demanded of %d runs", rare, runsUsual)
		}
	}
	if names := c.Empty(runsMany); !slices.Contains(names, stateNames[tornHole]) || slices.Contains(names, "wipe x joint") {
		t.Errorf("of many runs are demanded %q", names)
	}
	if _, of := c.Reached(); of != int(states)+faultKinds*int(activities)-2 {
		t.Errorf("there are %d cells", of)
	}
	if table := all.String(); strings.Count(table, "\n") != int(states)+2+faultKinds || !strings.Contains(table, activityNames[doesStart]) {
		t.Errorf("the table is\n%s", table)
	}
}

// TestNames: everything in the table has a name.
func TestNames(t *testing.T) {
	if AllFaults.String() == "" || Faults(1)<<faultKinds != FaultNone {
		t.Errorf("there are not %d kinds of faults", faultKinds)
	}
	names := slices.Concat(stateNames[:], activityNames[:], activityMeanings[:])
	for i, name := range names {
		if name == "" || slices.Index(names, name) != i {
			t.Errorf("name %d, %q, is empty or there twice", i, name)
		}
	}
}
