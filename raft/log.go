package raft

import (
	"sort"

	"github.com/balsa-raft/balsa/internal/must"
)

// log is the figure's log[]: the terms of all entries, as runs, and the newest entries themselves.
//
// Invariant: runs is ascending in Term and in First, and covers first..last without gaps.
// Invariant: cache holds the entries cache.first..last; it may be empty.
type log struct {
	first    Index // the oldest entry that exists; 1 until the log is compacted
	last     Index // the newest; first-1 when empty
	baseTerm Term  // of the entry before first, which a snapshot replaces; 0 if first is 1
	runs     []TermRun

	cache cache
}

func newLog(s LogState) log {
	return log{first: s.First, last: s.Last, baseTerm: s.BaseTerm, runs: append([]TermRun(nil), s.Runs...), cache: cache{first: s.Last + 1}}
}

// term returns the term of entry i. It is false for an entry that the log does not have: a missing entry has no
// term, not even zero, or two logs would seem to agree where both have nothing. Place 0 has term 0 in every log.
func (l *log) term(i Index) (Term, bool) {
	switch i {
	case 0:
		return 0, true
	case l.first - 1:
		return l.baseTerm, true
	}
	if i < l.first || i > l.last {
		return 0, false
	}
	return l.runs[l.run(i)].Term, true
}

// run returns the position of the run that holds entry i, which must exist.
func (l *log) run(i Index) int {
	if n := len(l.runs) - 1; i >= l.runs[n].First {
		return n
	}
	return sort.Search(len(l.runs), func(k int) bool { return l.runs[k].First > i }) - 1
}

func (l *log) lastTerm() Term {
	t, ok := l.term(l.last)
	must.Be1(ok || l.last == 0, "the last entry %d has a term", l.last)
	return t
}

// has reports whether the log contains an entry at index whose term is term.
func (l *log) has(term Term, index Index) bool {
	t, ok := l.term(index)
	return ok && t == term
}

// upToDate reports whether a log that ends in (lastTerm, lastIndex) is at least as up-to-date as this one (§3.6.1).
func (l *log) upToDate(lastTerm Term, lastIndex Index) bool {
	own := l.lastTerm()
	return lastTerm > own || lastTerm == own && lastIndex >= l.last
}

// append adds entries behind the last one.
func (l *log) append(es ...Entry) {
	for i := range es {
		e := &es[i]
		must.Be2(e.Index == l.last+1, "entry %d follows %d", e.Index, l.last)
		if n := len(l.runs); n == 0 || l.runs[n-1].Term != e.Term {
			must.Be2(n == 0 || l.runs[n-1].Term < e.Term, "terms do not fall along the log: %d at %d", e.Term, e.Index)
			l.runs = append(l.runs, TermRun{Term: e.Term, First: e.Index})
		}
		l.last = e.Index
	}
	l.cache.append(es)
}

// truncateFrom removes entry i and all behind it.
func (l *log) truncateFrom(i Index) {
	must.Be(i >= l.first && i <= l.last, "truncate at %d within %d..%d", i, l.first, l.last)
	l.last = i - 1
	for n := len(l.runs); n > 0 && l.runs[n-1].First >= i; n-- {
		l.runs = l.runs[:n-1]
	}
	if i <= l.cache.first {
		l.cache.void(i)
		return
	}
	l.cache.truncateFrom(i)
}

// compact forgets the entries up to i.
func (l *log) compact(i Index) {
	term, ok := l.term(i)
	must.Be1(ok && i >= l.first, "entry %d is there to be forgotten", i)
	l.runs = l.runs[l.run(i):]
	if l.runs[0].First = i + 1; i == l.last || len(l.runs) > 1 && l.runs[1].First == i+1 {
		l.runs = l.runs[1:]
	}
	l.runs = append([]TermRun(nil), l.runs...) // or the array would keep what was forgotten
	l.first, l.baseTerm = i+1, term
	l.cache.forget(i)
}

// reset makes the log an empty one behind entry i of term t.
func (l *log) reset(i Index, t Term) {
	*l = log{first: i + 1, last: i, baseTerm: t, cache: cache{first: i + 1}}
}

// cached returns the entries from..to, as many as fit in bytesMax but at least one. It is false if they are not in memory.
// The result may share the cache's places and must not be changed.
func (l *log) cached(from, to Index, bytesMax uint64) ([]Entry, bool) {
	if from < l.cache.first || from > l.last {
		return nil, false
	}
	return l.cache.between(from, min(to, l.last), bytesMax), true
}

// matches reports whether es are the log's own entries of these indexes, by term.
func (l *log) matches(es []Entry) bool {
	for i := range es {
		if !l.has(es[i].Term, es[i].Index) {
			return false
		}
	}
	return true
}

// conflict is the hint of a follower whose log does not have the leader's entry before index+1: the term that it has there
// and where that term begins, or term 0 and the place behind its log.
func (l *log) conflict(index Index) (Term, Index) {
	if index > l.last {
		return 0, l.last + 1
	}
	t, ok := l.term(index)
	must.Be1(ok && index > 0, "entry %d conflicts, so it exists", index)
	return t, l.runs[l.run(index)].First
}

// lastOf returns the last entry of term t, or false if the log has none and does not begin right behind one.
func (l *log) lastOf(t Term) (Index, bool) {
	k := sort.Search(len(l.runs), func(k int) bool { return l.runs[k].Term >= t })
	if k == len(l.runs) || l.runs[k].Term != t {
		// Without the base, who agrees with us up to there and has more of that term would be sent the whole snapshot.
		return l.first - 1, t == l.baseTerm
	}
	if k+1 == len(l.runs) {
		return l.last, true
	}
	return l.runs[k+1].First - 1, true
}
