package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/balsa-raft/balsa/raft"
)

// What happens to single messages has names, as other decisions have: m1/2.append.17 is that the 17th AppendEntries of n1 to n2 is lost, doubled or late. Each draws from a
// source of its own. There are thousands in a run, so they are no faults with numbers to those who count; and what alone is left (Options.Only) speaks of them
// only if it names one.

// sourcesOfMessages is greater than the sources of what happens to messages.
const sourcesOfMessages = -1 << 28

func mishapOn(from, to raft.NodeID, kind, number int) Decision {
	return Decision{Source: sourcesOfMessages - (int(from)<<16 | int(to)<<8 | kind + 1), Number: number}
}

func (d Decision) ofMessage() bool { return d.Source < sourcesOfMessages }

func (d Decision) messageText() string {
	n := sourcesOfMessages - d.Source
	return fmt.Sprintf("m%d/%d.%s.%d", n>>16, n>>8&0xff, messageNames[n&0xff-1], d.Number)
}

// cutMessage reads what messageText has written, but for the number, which is returned.
func cutMessage(word string) (source int, numbers string, ok bool) {
	parts := strings.Split(strings.TrimPrefix(word, "m"), ".")
	if len(parts) != 3 {
		return 0, "", false
	}
	from, to, _ := strings.Cut(parts[0], "/")
	a, err1 := strconv.ParseUint(from, 10, 7)
	b, err2 := strconv.ParseUint(to, 10, 7)
	kind := slices.Index(messageNames[:], parts[1])
	if err1 != nil || err2 != nil || kind < 0 {
		return 0, "", false
	}
	return mishapOn(raft.NodeID(a), raft.NodeID(b), kind, 0).Source, parts[2], true
}

// spares reports whether nothing is to happen to a message; if not, what does is one of the run's decisions.
func (w *world) spares(d Decision) bool {
	if w.options.Without.decisions[d] || w.options.Only.messages && !w.options.Only.decisions[d] {
		return true
	}
	if w.options.decided != nil {
		w.options.decided(d)
	}
	return false
}
