package sim

import "math/rand/v2"

// drawDisks draws what is decided of disks from a source of its own.
func (k *knobs) drawDisks(o Options) {
	r := rand.New(rand.NewPCG(o.Seed, mix(0, ofDisks)))
	k.keeps = r.IntN(4) == 0 && o.guests == nil
}
