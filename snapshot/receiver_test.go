package snapshot

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/vfs/memfs"
)

func TestReceive(t *testing.T) {
	for _, size := range []int{0, 1, blockBytes - 1, blockBytes, blockBytes + 1, 3*blockBytes + 77} {
		content := contentOf(at(5), size)
		file := fileOf(t, at(5), content)
		for _, chunk := range []int{13_331, blockBytes, 1 << 20} {
			d := memfs.New()
			s := mustOpen(t, d)
			s.syncBytes = 50_000
			r := mustReceive(t, s, at(5), len(file))
			if r.Offset() != 0 || r.Size() != int64(len(file)) || !sameMeta(r.Meta(), at(5)) {
				t.Fatalf("begins at %d of %d, %v", r.Offset(), r.Size(), r.Meta())
			}
			ok(t, send(r, file, len(file), chunk))
			expectIndexes(t, s)
			ok(t, r.Commit())
			expect(t, s, at(5), content)
			if !bytes.Equal(contentsOf(t, d, filePath(at(5))), file) {
				t.Fatal("the file differs from what was sent")
			}
			is(t, r.Write(r.Offset(), nil), ErrClosed)
			is(t, r.Commit(), ErrClosed)
			ok(t, r.Close())
			r.Abort()
			expect(t, mustOpen(t, d), at(5), content)
		}
	}
}

// C6: a broken transfer goes on where it was, wherever that is: in the same process, after the process was killed, and
// after the machine lost power.
func TestC6_ResumeAtEveryOffset(t *testing.T) {
	const syncBytes = 64
	small := fileOf(t, at(5), contentOf(at(5), 150))
	large := fileOf(t, at(5), contentOf(at(5), 2*blockBytes+500))
	resume := func(t *testing.T, file []byte, end int, syncBytes int64) {
		for _, how := range []string{"close", "reopen", "kill", "power off"} {
			what := fmt.Sprintf("%s at %d of %d", how, end, len(file))
			d := memfs.New()
			s := mustOpen(t, d)
			s.syncBytes = syncBytes
			r := mustReceive(t, s, at(5), len(file))
			ok(t, send(r, file, end, 1+len(file)/7))
			if how == "close" || how == "reopen" {
				ok(t, r.Close())
			}
			switch how {
			case "kill":
				d = d.KillClone()
			case "power off":
				d = d.CrashClone(memfs.CrashConfig{})
			}
			if how != "close" {
				s = mustOpen(t, d)
				s.syncBytes = syncBytes
			}
			r = mustReceive(t, s, at(5), len(file))
			least := int64(end)
			for _, loses := range []string{"reopen kill power", "power"} { // also the file's size
				if strings.Contains(loses, strings.Fields(how)[0]) {
					least = max(0, least-1) / syncBytes * syncBytes
				}
			}
			// What is resumed are whole blocks: all that can be checked.
			head := int64(headerFixedBytes + len(at(5).Configuration))
			if least < int64(len(file)) {
				least = max(0, least-head)/(blockHeaderBytes+blockBytes)*(blockHeaderBytes+blockBytes) + head
			}
			if got := r.Offset(); got > int64(end) || got < least && got != 0 || got == 0 && least > head {
				t.Fatalf("%s: goes on at %d, at least %d", what, got, least)
			}
			ok(t, send(r, file, len(file), 40_000))
			if err := r.Commit(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			d = d.CrashClone(memfs.CrashConfig{})
			if !bytes.Equal(contentsOf(t, d, filePath(at(5))), file) {
				t.Fatalf("%s: the file differs", what)
			}
			if got := names(t, d); got != "1/5" {
				t.Fatalf("%s: the folder has %s", what, got)
			}
		}
	}
	for end := range len(small) + 1 {
		resume(t, small, end, syncBytes)
	}
	for end := 0; end <= len(large); end += 9_973 {
		resume(t, large, end, 30_000)
	}
	resume(t, large, len(large), 30_000)
}

// Chunks that are not what comes next change nothing; the transfer goes on.
func TestHostileChunks(t *testing.T) {
	content := contentOf(at(5), 200_000)
	file := fileOf(t, at(5), content)
	d := memfs.New()
	s := mustOpen(t, d)
	s.syncBytes = 10_000
	r := mustReceive(t, s, at(5), len(file))
	is(t, r.Commit(), ErrIncomplete)
	size := int64(len(file))
	rnd := rand.New(rand.NewPCG(1, 2))
	for r.Offset() < size {
		at := r.Offset()
		for _, c := range []struct {
			offset int64
			data   []byte
		}{
			{at + 1, file[:1]},                  // a gap
			{size, file[:1]},                    // a gap to the end
			{size, nil},                         // nothing, too far
			{1 << 62, file[:1]},                 // far beyond
			{-1, file[:1]},                      // before the beginning
			{-1 << 63, file[:1]},                //
			{at - 1, file[:1]},                  // an overlap
			{at, append(file, 1)[at:]},          // one byte too many
			{at, make([]byte, 2*len(file))},     // much too many
			{at - 1000, file[max(0, at-1000):]}, // the rest again
		} {
			is(t, r.Write(c.offset, c.data), ErrOffset)
		}
		if at > 0 {
			is(t, r.Write(0, file), ErrOffset)
		}
		is(t, r.Commit(), ErrIncomplete)
		ok(t, r.Write(at, nil))
		if r.Offset() != at {
			t.Fatalf("offset moved from %d to %d", at, r.Offset())
		}
		ok(t, r.Write(at, file[at:min(at+rnd.Int64N(40_000), size)]))
	}
	is(t, r.Write(size, []byte{1}), ErrOffset)
	ok(t, r.Commit())
	expect(t, s, at(5), content)
}

func TestHostileSizes(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	head := int64(headerFixedBytes + len(at(5).Configuration))
	for _, size := range []int64{
		-1, -1 << 63, 0, 1, head, head + trailerBytes - 1, head + trailerBytes + 1, head + trailerBytes + blockHeaderBytes,
		head + trailerBytes + 2*blockHeaderBytes + blockBytes, 1<<63 - 1, 1<<60 + 1,
	} {
		_, err := s.Receive(at(5), size)
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("no snapshot has %d bytes", size)) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
	// One that could be is believed, and costs nothing.
	huge := head + trailerBytes + (1<<40)*(blockHeaderBytes+blockBytes)
	allocated := testing.AllocsPerRun(1, func() {
		r, err := s.Receive(at(5), huge)
		ok(t, err)
		ok(t, r.Write(0, fileOf(t, at(5), nil)[:head]))
		is(t, r.Commit(), ErrIncomplete)
		r.Abort()
	})
	if allocated > 1000 {
		t.Errorf("%v allocations", allocated)
	}
	// A size that is wrong by whole blocks is found out at the trailer, or at the end.
	file := fileOf(t, at(5), contentOf(at(5), 2*blockBytes))
	const block = blockHeaderBytes + blockBytes
	r := mustReceive(t, s, at(5), len(file)+block)
	is(t, send(r, append(file, make([]byte, block)...), len(file)+block, 1<<20), ErrCorrupt)
	r = mustReceive(t, s, at(5), len(file)-block)
	is(t, send(r, file, len(file)-block, 1<<20), ErrCorrupt)
	if got := names(t, d); got != "" {
		t.Fatalf("left: %s", got)
	}
}

// The file of another snapshot, of another group or of another cluster is refused with its header.
func TestHeaderOfAnother(t *testing.T) {
	s := mustOpen(t, memfs.New())
	newer := at(5)
	newer.Term++
	config := at(5)
	config.Configuration = []byte("CONFIG 5")
	for _, m := range []Meta{at(6), meta(2, 5), newer, config} {
		file := fileOf(t, m, []byte("x"))
		r := mustReceive(t, s, at(5), len(file))
		is(t, r.Write(0, file[:headerFixedBytes+len(m.Configuration)]), ErrCorrupt)
	}
	other, err := Open(memfs.New(), dir, Options{ClusterID: 99})
	ok(t, err)
	file := fileOf(t, at(5), []byte("x"))
	r := mustReceive(t, other, at(5), len(file))
	is(t, r.Write(0, file), ErrCorrupt)
}

// Two members may have different bytes for one snapshot. What came from one and what the other sends never mix, and the
// transfer that begins anew succeeds.
func TestResumeFromAnotherMember(t *testing.T) {
	content := contentOf(at(5), 4*blockBytes)
	different := bytes.Clone(content)
	different[10] ^= 1
	first, second := fileOf(t, at(5), content), fileOf(t, at(5), different)
	d := memfs.New()
	s := mustOpen(t, d)
	mustPut(t, s, at(6), nil)
	for _, sent := range []int{100, 3 * blockBytes, len(first) - 1, len(first)} {
		r := mustReceive(t, s, at(5), len(first))
		ok(t, send(r, first, sent, 1<<20))
		ok(t, r.Close())
		r = mustReceive(t, s, at(5), len(second))
		resumed := r.Offset()
		err := send(r, second, len(second), 30_000)
		switch {
		case sent == len(first): // there was nothing to send
			ok(t, err)
			r.Abort()
			continue
		case resumed <= headerFixedBytes+int64(len(at(5).Configuration)):
			ok(t, err)
			r.Abort()
			continue
		}
		is(t, err, ErrCorrupt)
		if r.Offset() > resumed+2*(blockHeaderBytes+blockBytes) {
			t.Errorf("found only at %d, resumed at %d", r.Offset(), resumed)
		}
		r = mustReceive(t, s, at(5), len(second))
		if r.Offset() != 0 {
			t.Errorf("goes on at %d of what is useless", r.Offset())
		}
		ok(t, send(r, second, len(second), 30_000))
		ok(t, r.Commit())
		expect(t, s, at(5), different)
		ok(t, s.Prune(1, 6))
	}
	// Of another size it cannot be the same, and nothing is sent in vain.
	r := mustReceive(t, s, at(7), len(first))
	ok(t, send(r, fileOf(t, at(7), content), 3*blockBytes, 1<<20))
	ok(t, r.Close())
	r = mustReceive(t, s, at(7), len(first)-1)
	if r.Offset() != 0 {
		t.Errorf("goes on at %d", r.Offset())
	}
	r.Abort()
	// Where the bytes are the same, another member goes on.
	s = mustOpen(t, memfs.New())
	r = mustReceive(t, s, at(5), len(first))
	ok(t, send(r, first, 100_000, 1<<20))
	ok(t, r.Close())
	r = mustReceive(t, s, at(5), len(first))
	if r.Offset() == 0 {
		t.Error("nothing resumed")
	}
	ok(t, send(r, fileOf(t, at(5), content), len(first), 1<<20))
	ok(t, r.Commit())
}

// N12: another snapshot comes before the first is complete, newer or, from another leader, older.
func TestN12_AnotherReplacesAnUnfinished(t *testing.T) {
	for _, next := range []raft.Index{9, 7} {
		for _, restart := range []bool{false, true} {
			d := memfs.New()
			s := mustOpen(t, d)
			s.syncBytes = 100
			mustPut(t, s, at(1), []byte("old"))
			first := fileOf(t, at(8), contentOf(at(8), 1000))
			r := mustReceive(t, s, at(8), len(first))
			ok(t, send(r, first, 900, 70))
			_, err := s.Receive(at(next), 1000)
			if err == nil {
				t.Fatal("two at once")
			}
			ok(t, r.Close())
			if restart {
				s = mustOpen(t, d)
				s.syncBytes = 100
			}
			if got := names(t, d); got != "1/1 1/8.part" {
				t.Fatalf("the folder has %s", got)
			}
			second := fileOf(t, at(next), contentOf(at(next), 2000))
			r = mustReceive(t, s, at(next), len(second))
			if r.Offset() != 0 {
				t.Fatalf("begins at %d", r.Offset())
			}
			if got, want := names(t, d), fmt.Sprintf("1/1 1/%d.part", next); got != want {
				t.Fatalf("the folder has %s, want %s", got, want)
			}
			ok(t, send(r, second, len(second), 300))
			ok(t, r.Commit())
			expect(t, s, at(next), contentOf(at(next), 2000))
			expect(t, s, at(1), []byte("old"))
		}
	}
}

// Of two parts, as a crash may leave them, the newer stays.
func TestOpenKeepsOnePart(t *testing.T) {
	d := memfs.New()
	for _, m := range []Meta{at(8), at(7), at(9), meta(2, 1)} {
		plant(t, d, filePath(m)+partSuffix, []byte("x"))
	}
	s := mustOpen(t, d)
	if got := names(t, d); got != "1/9.part 2/1.part" {
		t.Fatalf("the folder has %s", got)
	}
	// Prune forgets what is not needed any more, also if there is no snapshot.
	ok(t, s.Prune(1, 9))
	ok(t, s.Prune(2, 9))
	if got := names(t, d); got != "1/9.part" {
		t.Fatalf("the folder has %s", got)
	}
	file := fileOf(t, at(9), nil)
	r := mustReceive(t, s, at(9), len(file))
	ok(t, s.Prune(1, 100)) // being received
	ok(t, send(r, file, len(file), 10))
	ok(t, r.Commit())
	expect(t, s, at(9), nil)
}

// A part of any bytes at all is no danger: what cannot be used of it is sent again.
func TestPartsOfAnyBytes(t *testing.T) {
	content := contentOf(at(5), 1000)
	file := fileOf(t, at(5), content)
	head := headerFixedBytes + len(at(5).Configuration)
	newer := bytes.Clone(file)
	newer[8] = 9
	for _, c := range []struct {
		what string
		part []byte
		want int64
	}{
		{"nothing", nil, 0},
		{"zeros", make([]byte, 5000), 0},
		{"another snapshot", fileOf(t, at(6), content), 0},
		{"a newer version", resealHeader(newer), 0},
		{"all and more", append(bytes.Clone(file), file...), int64(len(file))},
		{"zeros behind the header", append(bytes.Clone(file[:head]), make([]byte, 5000)...), int64(head)},
		{"a flipped bit in the block", flipped(file, head+100), int64(head)},
	} {
		d := memfs.New()
		plant(t, d, filePath(at(5))+partSuffix, c.part)
		s := mustOpen(t, d)
		s.syncBytes = 1
		r := mustReceive(t, s, at(5), len(file))
		if r.Offset() != c.want {
			t.Errorf("%s: goes on at %d, want %d", c.what, r.Offset(), c.want)
		}
		s.syncBytes = 400
		ok(t, send(r, file, len(file), 100))
		ok(t, r.Commit())
		expect(t, s, at(5), content)
	}
}

func flipped(b []byte, i int) []byte {
	b = bytes.Clone(b)
	b[i] ^= 1
	return b
}

// A receiver whose file cannot be read back gives up with the disk's error, which is no damage.
func TestReceiveReadsBack(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	file := fileOf(t, at(5), contentOf(at(5), 1000))
	r := mustReceive(t, s, at(5), len(file))
	ok(t, send(r, file, len(file), 100))
	errDisk := errors.New("unreadable")
	d.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpReadAt {
			return errDisk
		}
		return nil
	})
	err := r.Commit()
	is(t, err, errDisk)
	if errors.Is(err, ErrCorrupt) {
		t.Errorf("error is %v", err)
	}
	if got := names(t, d); got != "" {
		t.Fatalf("left: %s", got)
	}
}

// D3: what Close could not make durable is not kept: nobody would ask for that sync again.
func TestD3_CloseWhoseSyncFails(t *testing.T) {
	d := memfs.New()
	s := mustOpen(t, d)
	file := fileOf(t, at(5), contentOf(at(5), 1000))
	r := mustReceive(t, s, at(5), len(file))
	ok(t, send(r, file, 1000, 100))
	isSync := func(op memfs.Op, _ string) bool { return op == memfs.OpSync }
	d.SetHook((&memfs.Fault{N: 1, Err: syscall.EIO, Match: isSync}).Hook)
	is(t, r.Close(), syscall.EIO)
	ok(t, r.Close())
	if r = mustReceive(t, s, at(5), len(file)); r.Offset() != 0 {
		t.Errorf("goes on at %d", r.Offset())
	}
	ok(t, send(r, file, len(file), 100))
	ok(t, r.Commit())
	expect(t, mustOpen(t, d.CrashClone(memfs.CrashConfig{})), at(5), contentOf(at(5), 1000))
}

// The disk is never asked for more than syncBytes and a block at once: the log waits on the same disk.
func TestSyncsInParts(t *testing.T) {
	const syncBytes = 100_000
	content := contentOf(at(5), 10*blockBytes)
	file := fileOf(t, at(5), content)
	d := memfs.New()
	s := mustOpen(t, d)
	s.syncBytes = syncBytes
	syncs := 0
	d.SetHook(func(op memfs.Op, name string) error {
		if op == memfs.OpSync {
			syncs++
		}
		return nil
	})
	mustPut(t, s, at(5), content)
	if least := len(file) / (syncBytes + blockBytes); syncs < least {
		t.Errorf("a Writer syncs %d times, at least %d", syncs, least)
	}
	syncs = 0
	r := mustReceive(t, s, at(6), len(file))
	ok(t, send(r, fileOf(t, at(6), content), len(file), len(file)))
	if want := len(file) / syncBytes; syncs != want {
		t.Errorf("a Receiver syncs %d times, want %d", syncs, want)
	}
}
