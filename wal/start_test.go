package wal

import (
	"errors"
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/balsa-raft/balsa/vfs/memfs"
)

// startAfter is a life of group 1 by these words. The log is then to be opened again.
func startAfter(t *testing.T, words string) *life {
	t.Helper()
	f := &life{disk: memfs.New(), acked: model{}, pending: model{}}
	var l *Log
	for word := range strings.FieldsSeq(words) {
		var err error
		last := f.acked.group(1).last()
		switch word {
		case "open": // the one before was killed
			l, err = f.open(f.disk)
		case "append":
			err = f.append(l, []Save{put(1, 1, last+1, "a")})
		case "rotate":
			for tail := l.tail; err == nil && l.tail == tail; last++ {
				err = f.append(l, []Save{put(1, 1, last+1, "a")})
			}
		case "forget": // all entries: then a segment goes once it is not the last one
			err = f.append(l, []Save{forget(1, 1, last+1, 1)})
		case "prepare":
			err = l.Prepare()
		default:
			err = errors.New("no such word")
		}
		if err != nil {
			t.Fatalf("%s: %v", word, err)
		}
	}
	return f
}

// A start that fails or loses power at any operation leaves a log that opens, and in which all is, whichever sectors and
// names survive of those that were not synced. If a segment was prepared the start takes its file, perhaps for another
// number: under the old one it would be refused.
func TestCrashAtEveryOperationOfAStart(t *testing.T) {
	seeds := 20
	if raced {
		seeds = 2
	}
	for _, c := range []struct {
		words    string
		prepared int    // the number of the segment that is; 0: none
		made     uint64 // the number of the one that the start makes
	}{
		{"", 0, 1},
		{"open", 0, 1},
		{"open prepare", 2, 1},
		{"open append", 0, 1},
		{"open append prepare", 2, 1},
		{"open append append", 0, 2},
		{"open append append prepare", 2, 2},
		{"open append open open", 0, 2},
		{"open append open open prepare", 3, 2},
		{"open append rotate forget open prepare", 4, 4}, // it was a segment
		{"open append rotate forget open prepare open prepare", 5, 4},
	} {
		t.Run(c.words, func(t *testing.T) {
			f := startAfter(t, c.words)
			before := f.disk
			if c.prepared > 0 && meaningful(contentsOf(t, before, segmentPath(c.prepared))) > 0 {
				t.Fatalf("segment %d is in use:\n%v", c.prepared, before)
			}
			for _, fault := range []error{memfs.ErrCrashed, syscall.EIO} {
				for n, fired := 1, true; fired; n++ {
					what := fmt.Sprintf("%v at operation %d", fault, n)
					f.disk = before.KillClone()
					hook := &memfs.Fault{N: n, Err: fault, Final: fault == memfs.ErrCrashed}
					f.disk.SetHook(hook.Hook)
					l, err := f.open(f.disk)
					f.disk.SetHook(nil)
					if fired = hook.Fired(); fired != errors.Is(err, fault) || !fired && err != nil {
						t.Fatalf("%s: %v\n%v", what, err, f.disk)
					}
					if !fired && l.tail.seq != c.made {
						t.Fatalf("the start makes segment %d, want %d:\n%v", l.tail.seq, c.made, before)
					}
					f.survives(t, what, seeds)
				}
			}
		})
	}
}
