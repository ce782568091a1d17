package sim

import "testing"

// TestNamesShown: each name that is shown is taken, and each that is taken is shown.
func TestNamesShown(t *testing.T) {
	if got, want := len(FaultNames()), faultKinds; got != want {
		t.Fatalf("%d faults have a meaning, and there are %d", got, want)
	}
	for _, n := range FaultNames() {
		if f, err := ParseFaults(n.Name); err != nil || f.String() != n.Name || n.Meaning == "" {
			t.Errorf("%q, %q: %v, %v", n.Name, n.Meaning, f, err)
		}
	}
	for _, n := range SimpleNames() {
		if d, err := ParseDecisions(n.Name); err != nil || d.String() != n.Name || n.Meaning == "" {
			t.Errorf("%q, %q: %v, %v", n.Name, n.Meaning, d, err)
		}
	}
	for _, kind := range MessageNames() {
		if d, err := ParseDecisions("loss." + kind); err != nil || d.String() != "loss."+kind {
			t.Errorf("%q: %v, %v", kind, d, err)
		}
	}
}
