package sim

import "math/rand/v2"

// faultsOfDisks are those that are drawn here.
const faultsOfDisks = FaultTear

func (f Faults) ofDisks() bool { return f&faultsOfDisks != 0 }

// drawDisks draws what is decided of disks from a source of its own.
func (k *knobs) drawDisks(o Options) {
	r := rand.New(rand.NewPCG(o.Seed, mix(0, ofDisks)))
	k.keeps = r.IntN(4) == 0 && o.guests == nil
	part := pick(r, 20, 50)
	for one := Faults(1); one < FaultNone; one <<= 1 {
		if one.ofDisks() && r.IntN(100) < part && o.Faults == 0 && k.faults != FaultNone {
			k.faults |= one
		}
	}
}
