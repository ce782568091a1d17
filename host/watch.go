package host

import "time"

// watch tells the time since it began, and notices when its clock has stood still. The monotonic clock does not count the time in which a machine
// is suspended; the wall clock does, so it is then ahead by that much more than before.
type watch struct {
	ahead time.Duration // how far the wall clock has gone on, beyond the monotonic one
}

// sleepMin is more than what the two clocks differ by because they cannot be read at once. A wall clock that is set forward looks like sleep, which
// does no harm.
const sleepMin = time.Millisecond

// slept reports whether the monotonic clock has stood still since the last call, where both clocks tell the time since one moment.
func (w *watch) slept(monotonic, wall time.Duration) bool {
	was := w.ahead
	w.ahead = wall - monotonic
	return w.ahead > was+sleepMin
}
