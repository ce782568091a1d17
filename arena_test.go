package balsa

import (
	"bytes"
	"testing"
)

// TestArena: pieces of all sizes are kept apart, and begin with zeros whatever was written before.
func TestArena(t *testing.T) {
	const room = 8
	a := &arena{}
	var pieces [][]byte
	for i := range 3000 {
		b := a.room(room)
		if len(b) != room || !bytes.Equal(b, make([]byte, room)) {
			t.Fatalf("the room of piece %d is %x", i, b)
		}
		if i%10 == 9 { // an encoding that fails half-way, and has written where it must not
			copy(append(b, 0xff, 0xff), "overwritten")
			a.spoil()
		}
		size := i % 300
		if i%100 == 0 {
			size = 2 * arenaBytes
		}
		pieces = append(pieces, a.cut(append(a.room(room), bytes.Repeat([]byte{byte(i)}, size)...)))
	}
	for i, p := range pieces {
		if !bytes.Equal(p[:room], make([]byte, room)) || bytes.Count(p[room:], []byte{byte(i)}) != len(p)-room || cap(p) > len(p) && len(p) < arenaBytes {
			t.Errorf("piece %d is %x, of %d bytes", i, p[:room+1], cap(p))
		}
	}
}
