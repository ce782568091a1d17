package balsa

import "sync"

// arena is a larger piece of memory from which small commands are cut, one after the other. They live about equally long, in the log's cache, so that
// hardly any of them keeps the memory of others.
type arena struct{ free []byte }

const (
	arenaBytes = 32 << 10
	arenaShare = arenaBytes / 16 // what is left of an arena is given up when it is less
)

var arenas = sync.Pool{New: func() any { return &arena{} }}

// room returns n zeroed bytes to append to. What does not fit is appended elsewhere, by append itself.
func (a *arena) room(n int) []byte {
	if len(a.free) < n+arenaShare {
		a.free = make([]byte, arenaBytes)
	}
	b := a.free[:n]
	clear(b) // what did not fit before, or failed, may have been begun here
	return b
}

// cut takes b, which was appended to the room, out of the arena, if it is still there.
func (a *arena) cut(b []byte) []byte {
	if &b[0] != &a.free[0] {
		return b
	}
	a.free = a.free[len(b):]
	return b[:len(b):len(b)]
}
