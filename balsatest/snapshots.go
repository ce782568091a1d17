package balsatest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
)

// checkSnapshots: a snapshot is the state at the moment when it was taken, whatever the machine executes before and while it is written; it is all of
// the state; and the machine does not notice.
func (s *subject[C, R]) checkSnapshots(uint64) {
	s.player("a machine that never has a snapshot").to(s.length, one).end()
	for _, at := range []int{0, s.position(), s.position(), s.length} {
		p := s.player("a machine that goes on while its snapshot after %d commands is written", at).to(at, s.some)
		write := p.pin()
		p.to(min(at+s.some(), s.length), s.some)
		b := p.writeAndGoOn(write)
		p.end()
		p.compareBytes(at, b)

		restored := s.player("a machine restored from a snapshot after %d commands, of one that went on while it was written", at).restore(readerOf(b), at)
		again := restored.snapshot()
		restored.end()
		s.player("a machine restored from the snapshot of one that was itself restored, after %d commands", at).restore(readerOf(again), at).end()
	}
	s.checkRaces()
}

// piecesMax is how many pieces of a snapshot have commands between them.
const piecesMax = 20

// writeAndGoOn writes a snapshot, and lets the machine execute commands whenever some of it was written.
func (p *player[C, R]) writeAndGoOn(write func(io.Writer) error) []byte {
	var b bytes.Buffer
	batches := 0
	w := writerFunc(func(piece []byte) (int, error) {
		if batches++; batches <= piecesMax {
			n := min(p.s.some(), p.s.length+tail/2-p.at)
			await("Apply, while a snapshot is being written,", 1, func() {
				if n > 0 {
					p.apply(n)
				}
			})
		}
		return b.Write(piece)
	})
	await("the function of Snapshot", 2+piecesMax, func() {
		if err := write(w); err != nil {
			failf("%s: the snapshot cannot be written: %v", p.name, err)
		}
	})
	return b.Bytes()
}

// checkRaces lets Apply and the writing of a snapshot go on at the same time, for the race detector to see.
func (s *subject[C, R]) checkRaces() {
	p := s.player("a machine that goes on while snapshots are written").to(s.length/2, s.some)
	for p.at < s.length {
		write := p.pin()
		var b bytes.Buffer
		written := make(chan any, 1)
		go func() {
			defer func() { written <- recover() }()
			if err := write(writerFunc(func(piece []byte) (int, error) { runtime.Gosched(); return b.Write(piece) })); err != nil {
				failf("%s: a snapshot cannot be written: %v", p.name, err)
			}
		}()
		at := p.at
		p.to(min(p.at+s.length/4+1, s.length), s.some)
		if r := <-written; r != nil {
			panic(r)
		}
		s.player("a machine restored from a snapshot after %d commands, of one that went on meanwhile", at).restore(&b, at).end()
	}
	p.end()
}

// checkWriters: what cannot be written is reported, wherever it happens, and leaves the machine and its next snapshot as they were.
func (s *subject[C, R]) checkWriters(uint64) {
	p := s.player("a machine whose snapshots cannot be written").to(s.length/2, s.some)
	broken := errors.New("the writer is broken")
	for k := range 12 {
		size := len(p.snapshot())
		room := min(s.rand.IntN(size+1), size-1)
		if k == 0 {
			room = 0
		}
		if size == 0 {
			break
		}
		write, left := p.pin(), room
		await("the function of Snapshot, with a writer that fails,", 1, func() {
			err := write(writerFunc(func(b []byte) (int, error) {
				n := min(left, len(b))
				if left -= n; n < len(b) {
					return n, broken
				}
				return n, nil
			}))
			if err == nil {
				failf("%s: the writer failed after %d of %d bytes, and nothing was said of it\nThe log would be compacted behind a snapshot that is cut.", p.name, room, size)
			}
		})
		await("Apply, after a snapshot that could not be written,", 1, func() { p.to(min(p.at+1, s.length), one) })
	}
	at := p.at
	b := p.snapshot()
	p.end()
	s.player("a machine restored from a snapshot after %d commands, of one whose earlier snapshots could not be written", at).restore(readerOf(b), at).end()
	s.player("a machine that never has a snapshot").end()
}

// places are some places in so many bytes, the first and the last among them.
func (s *subject[C, R]) places(size int) (places []int) {
	if size == 0 {
		return nil
	}
	places = []int{0, size - 1}
	for range 10 {
		places = append(places, s.rand.IntN(size))
	}
	return places
}

// checkRestores: a snapshot replaces the state of a machine that was behind, as that of a member that was away; and however it is read.
func (s *subject[C, R]) checkRestores(uint64) {
	p := s.player("a machine that executes all").to(s.length, one)
	b := p.snapshot()
	p.end()
	for _, behind := range []int{0, s.length / 3, s.length / 2, s.rand.IntN(s.length + 1), max(0, s.length-1)} {
		s.player("a machine that was restored after %d commands from a snapshot after %d", behind, s.length).
			to(behind, s.some).restore(readerOf(b), s.length).end()
	}
	s.player("a machine restored byte by byte").restore(byteReader{readerOf(b)}, s.length).end()
	s.player("a machine restored from a reader that ends with its last bytes").restore(&endingReader{b}, s.length).end()
}

// checkReaders: a snapshot that cannot be read to its end is not taken for one that is whole.
func (s *subject[C, R]) checkReaders(uint64) {
	p := s.player("a machine that executes all").to(s.length, s.some)
	b := p.snapshot()
	p.end()
	for k, n := range s.places(len(b)) {
		broken := []error{io.ErrUnexpectedEOF, errors.New("the reader is broken")}[k%2]
		cut := s.player("a machine restored from a snapshot of which it could read %d of %d bytes", n, len(b)).to(s.length/2, s.some)
		var err error
		noPanic(fmt.Sprintf("Restore, which could read %d of %d bytes and was then told %q", n, len(b), broken), func() {
			err = cut.machine.Restore(io.MultiReader(bytes.NewReader(b[:n]), failingReader{broken}))
		})
		if err == nil { // then it had all that counts
			cut.at = s.length
			cut.look()
			cut.end()
		}
		noPanic(fmt.Sprintf("Restore of the first %d of %d bytes", n, len(b)), func() {
			s.player("").machine.Restore(bytes.NewReader(b[:n]))
		})
	}
}

func readerOf(b []byte) io.Reader { return readerOnly{bytes.NewReader(b)} }

// readerOnly hides what else a reader can do: Balsa's can not.
type readerOnly struct{ io.Reader }

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

// byteReader gives a byte at a time.
type byteReader struct{ r io.Reader }

func (r byteReader) Read(b []byte) (int, error) { return r.r.Read(b[:min(1, len(b))]) }

// endingReader says with the last bytes that they are.
type endingReader struct{ b []byte }

func (r *endingReader) Read(b []byte) (int, error) {
	n := copy(b, r.b)
	if r.b = r.b[n:]; len(r.b) == 0 {
		return n, io.EOF
	}
	return n, nil
}

type failingReader struct{ err error }

func (r failingReader) Read([]byte) (int, error) { return 0, r.err }
