package host

import (
	"slices"
	"sync"

	"github.com/balsa-raft/balsa/internal/must"
)

// inbox is a part's queue: anybody puts, the part takes everything at once.
type inbox[T any] struct {
	wake chan struct{} // holds a token when the part should look; read by the part's goroutine only

	mu     sync.Mutex
	items  []T
	bytes  int  // of the items, as their senders count them
	poked  bool // since they were taken last
	closed bool
}

func newInbox[T any]() *inbox[T] { return &inbox[T]{wake: make(chan struct{}, 1)} }

// put adds an item, and wakes the part if it may be idle. It reports false and adds nothing once the inbox is closed, and,
// with a limit, if the items that wait have reached limit bytes.
func (q *inbox[T]) put(item T, bytes, limit int) bool {
	idle, ok := q.add(item, bytes, limit)
	if idle {
		q.poke()
	}
	return ok
}

// add is put, and leaves it to the caller to wake the part if it may be idle.
func (q *inbox[T]) add(item T, bytes, limit int) (idle, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || limit > 0 && q.bytes >= limit {
		return false, false
	}
	q.items = append(q.items, item)
	q.bytes += bytes
	idle, q.poked = !q.poked, true
	return idle, true
}

// ride adds an item, and leaves it to the caller to rouse the part. It is for what is begun faster together with others than alone, and can wait for
// something that will wake the part soon, at a tick at the latest: the caller looks, behind ride, whether that is still to come. It must be over
// before its own item is put, or at the latest in the step that takes that item, which looks for more at its end. So either that step sees this
// item, too, or the caller sees that it is over.
func (q *inbox[T]) ride(item T) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if !q.closed {
		q.items = append(q.items, item)
	}
	return !q.closed
}

// rouse wakes the part if nobody has since the items were taken last.
func (q *inbox[T]) rouse() {
	if q.claim() {
		q.poke()
	}
}

// claim is rouse, and leaves it to the caller to wake the part if it reports true.
func (q *inbox[T]) claim() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	idle := !q.poked
	q.poked = true
	return idle
}

// poke wakes the part although nothing was put.
func (q *inbox[T]) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// spareMax is for how many items room is kept. A burst should not hold memory for ever.
const spareMax = 1 << 12

// take returns all items and keeps spare, emptied, for the next ones.
func (q *inbox[T]) take(spare []T) []T {
	if cap(spare) > spareMax {
		spare = nil
	}
	clear(spare) // or what the items point to would live until the slots are used again
	q.mu.Lock()
	items := q.items
	q.items, q.bytes, q.poked = spare[:0], 0, false
	q.mu.Unlock()
	return items
}

// takeUpTo takes items until they have bytesMax bytes, and at least one. What it leaves does not wake the part again.
func (q *inbox[T]) takeUpTo(bytesMax int, bytes func(*T) int, spare []T) []T {
	clear(spare)
	q.mu.Lock()
	defer q.mu.Unlock()
	q.poked = false
	if q.bytes <= bytesMax {
		items := q.items
		q.items, q.bytes = spare[:0], 0
		return items
	}
	n, size := 1, bytes(&q.items[0])
	for n < len(q.items) && size+bytes(&q.items[n]) <= bytesMax {
		size += bytes(&q.items[n])
		n++
	}
	spare = append(spare[:0], q.items[:n]...)
	q.items = slices.Delete(q.items, 0, n)
	q.bytes -= size
	return spare
}

// close refuses what comes from now on.
func (q *inbox[T]) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
}

func (q *inbox[T]) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	must.Be1(len(q.items) > 0 || q.bytes == 0, "%d bytes are in a queue where nothing waits: it would refuse what comes, sooner or later", q.bytes)
	return len(q.items) == 0
}
