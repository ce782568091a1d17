package raft

import "testing"

// TestWhoHasAnotherDataFolder: a server takes part if the configuration has its data folder. Before one is written down, only who began with the
// cluster is sure to be meant.
func TestWhoHasAnotherDataFolder(t *testing.T) {
	began, joins := NewConfiguration(1, 2, 3), Configuration{}
	for _, test := range []struct {
		name    string
		first   Configuration
		own     uint64
		written uint64
		want    bool
	}{
		{"began, the same folder", began, 301, 301, true},
		{"began, another folder", began, 302, 301, false},
		{"began, none written down", began, 301, 0, true},
		{"joins, the same folder", joins, 301, 301, true},
		{"joins, another folder", joins, 302, 301, false},
		{"joins, none written down", joins, 301, 0, false},
		{"no host that knows of folders", began, 0, 301, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			base := ConfigurationAt{Index: 5, Configuration: NewConfiguration(1, 2, 3)}
			base.Members[2].Incarnation = test.written
			r, err := New(Config{ID: 3, Incarnation: test.own, Configuration: test.first, Rand: &fixedRand{}},
				LogState{HardState: HardState{CurrentTerm: 1}, First: 6, Last: 5, BaseTerm: 1, Applied: 5, Base: base})
			if err != nil {
				t.Fatal(err)
			}
			if r.mayVote() != test.want || r.mayStand() != test.want {
				t.Errorf("may vote: %v, may stand: %v; want %v", r.mayVote(), r.mayStand(), test.want)
			}
		})
	}
}
