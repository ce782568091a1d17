package balsa

import (
	"bytes"
	"testing"
)

// TestArena: pieces of all sizes are kept apart, and begin with zeros whatever was written before.
func TestArena(t *testing.T) {
	a := &arena{}
	var pieces [][]byte
	var rooms []int
	for i := range 3000 {
		room := 8 + 32*(i%2)
		b := a.room(room)
		if len(b) != room || !bytes.Equal(b, make([]byte, room)) {
			t.Fatalf("the room of piece %d is %x", i, b)
		}
		size := i % 300
		switch {
		case i%100 == 0: // it does not fit, which shows when a part of it is written
			b = append(append(b, "begun"...), make([]byte, 2*arenaBytes)...)
		case i%10 == 9: // an encoding that fails half-way
			copy(append(b, 0xff, 0xff), "overwritten")
			continue
		default:
			b = append(b, bytes.Repeat([]byte{byte(i)}, size)...)
		}
		pieces, rooms = append(pieces, a.cut(b)), append(rooms, room)
		if i%100 != 0 && bytes.Count(b[room:], []byte{byte(i)}) != size {
			t.Fatalf("piece %d is %x", i, b)
		}
	}
	was := make([][]byte, len(pieces))
	for i, p := range pieces {
		was[i] = bytes.Clone(p)
	}
	for i, p := range pieces { // none reaches into another one
		p = append(p, "behind it"...)
		clear(p[rooms[i]:])
		for k := i + 1; k < len(pieces); k++ {
			if k > i+3 {
				break
			}
			if !bytes.Equal(pieces[k], was[k]) {
				t.Fatalf("piece %d changes with piece %d", k, i)
			}
		}
	}
}
