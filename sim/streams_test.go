package sim

import "testing"

// TestStreams: no two purposes draw the same. Changes of the members would else have the same id.
func TestStreams(t *testing.T) {
	w := &world{options: Options{Seed: 1}}
	type use struct{ purpose, a, b uint64 }
	drawn := map[uint64]use{}
	for purpose := uint64(ofNemesis); purpose <= ofAdded; purpose++ {
		for a := range uint64(200) {
			for b := range uint64(20) {
				is, first := use{purpose, a, b}, w.stream(purpose, a, b).Uint64()
				if was, ok := drawn[first]; ok {
					t.Fatalf("%v draws the same as %v", is, was)
				}
				drawn[first] = is
			}
		}
	}
}
