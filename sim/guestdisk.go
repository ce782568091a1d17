package sim

import "time"

// The disk of an embedder's machine that keeps its state fills up when its member's disk does, and gets rot. Its operator makes room, and empties it when the machine says
// that it is damaged: what was there comes back from the member's own snapshot and log. No other member is needed for that, so it may be any member's, whatever the others are.

// guestDisks is what operator and nemesis do with the disks of guests. Each call is for nothing if the machine keeps nothing, or if its tests cannot do that to a disk.
type guestDisks interface {
	// limit leaves room for so many bytes more; negative: as many as it takes. It reports whether it could.
	limit(m *member, bytes int64) bool
	// diskFaults is which of FaultFull and FaultRot the disks can have.
	diskFaults() Faults
	// rot damages something, and says what.
	rot(m *member) (what string)
	// isDamaged reports whether a machine has said of its damaged disk that it is.
	isDamaged(m *member) bool
	// replace takes a damaged disk away, whether the machine knows or not, when it has been started on it once more.
	replace(m *member)
}

// fillGuest leaves the disk of a member's machine with little room, or with none.
func (m *member) fillGuest() {
	w := m.w
	if w.options.guests == nil {
		return
	}
	w.with(w.stream(ofGuestRoom, uint64(m.id), uint64(w.report.Full)), func() {
		m.limitGuest(w.rand.Int64N(1 + pick[int64](w.rand, 0, 0, 50, 300, 3000)))
		if w.chance(300) { // which is another one
			m.disk.noNames = false
			m.disk.fs.SetCapacity(0)
		}
	})
}

// limitGuest leaves so much room.
func (m *member) limitGuest(room int64) {
	w, full := m.w, m.disk.full
	if !w.options.guests.limit(m, room) {
		return
	}
	m.tell("has room for %d bytes on its machine's disk", room)
	if room > 0 {
		return
	}
	w.after(between(w.rand, 0, pick(w.rand, 5*time.Second, 30*time.Second)), func() { // not for good: a machine that can do nothing meets nothing else
		if m.disk.isFull && m.disk.full == full {
			w.options.guests.limit(m, 1+w.rand.Int64N(1000))
		}
	})
}

// giveGuestRoom makes room on the disk of a member's machine.
func (m *member) giveGuestRoom() {
	if m.w.options.guests != nil {
		m.w.options.guests.limit(m, -1)
	}
}

// beginGuests has some machines' disks fill up or get rot, beside those that the nemesis chooses.
func (w *world) beginGuests() {
	can := Faults(0)
	if w.options.guests != nil {
		can = w.options.guests.diskFaults() & w.knobs.drawn
	}
	for range 3 {
		if can.has(FaultFull) {
			w.sometime(FaultFull, func() {
				w.fullIn = map[string]int{"Apply": 1 + w.rand.IntN(5), "Sync": 1, "Restore": 1}
			})
		}
		if can.has(FaultRot) {
			w.sometime(FaultRot, func() { w.rotAtStart++ })
		}
	}
}

// callsGuest perhaps fills the disk of a machine that is about to be called: at a moment that chance chooses it seldom writes.
func (w *world) callsGuest(m *member, what string) {
	if !w.chaos || w.fullIn[what] == 0 || m.disk.isFull {
		return
	}
	if w.fullIn[what]--; w.fullIn[what] == 0 {
		w.with(w.stream(ofGuestCall, uint64(m.id), uint64(w.report.Full)), func() {
			m.fills()
			m.limitGuest(w.rand.Int64N(1 + pick[int64](w.rand, 0, 100)))
			m.roomLater()
		})
	}
}

// startsGuest perhaps damages the disk on which a machine is about to start.
func (w *world) startsGuest(m *member) {
	if w.rotAtStart > 0 && w.rotGuest(m) {
		w.rotAtStart--
	}
}

// rotGuest damages the disk of a member's machine, and perhaps has a member that runs start again. It reports whether there was something on the disk.
func (w *world) rotGuest(m *member) (yes bool) {
	if w.options.guests == nil || !w.chaos || m.shelf != nil {
		return false
	}
	w.rotsOfGuests++
	w.with(w.stream(ofGuestRot, uint64(m.id), w.rotsOfGuests), func() {
		what := w.options.guests.rot(m)
		if yes = what != ""; !yes {
			return
		}
		w.report.Rots++
		w.strikes(FaultRot, m)
		m.tell("has rot on its machine's disk: %s", what)
		if m.host != nil && w.chance(500) {
			w.kill(m, death{power: w.chance(500), keep: 1})
		}
	})
	return yes
}

// guestSaysDamaged reports whether the machine has said that its disk is damaged, which it is.
func (m *member) guestSaysDamaged() bool {
	return m.w.options.guests != nil && m.w.options.guests.isDamaged(m)
}

// mendGuest takes a damaged disk from a member's machine.
func (m *member) mendGuest() {
	if m.w.options.guests != nil && m.w.failure == nil {
		m.w.options.guests.replace(m)
	}
}
