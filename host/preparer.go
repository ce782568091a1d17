package host

import (
	"errors"

	"github.com/balsa-raft/balsa/wal"
)

// Preparer does for the log what can be done while nobody waits: it makes the next segment ready ahead of its use, and notes that the last
// batch is durable.
type Preparer struct {
	host    *Host
	inbox   *inbox[struct{}] // only its wake is used
	appends uint64           // when Rest was last called
	failing bool             // the last try failed, and that was reported
}

func (p *Preparer) poke() { p.inbox.poke() }

// Step prepares what the log will need next.
func (p *Preparer) Step() {
	select {
	case <-p.inbox.wake: // for those who step the parts themselves; a poke from now on wakes it again
	default:
	}
	if p.host.Err() != nil {
		return
	}
	err := p.host.log.Prepare()
	if errors.Is(err, wal.ErrFailed) {
		p.host.fail(err) // the log has stopped; nobody would notice before the next write
		return
	}
	if err != nil && !p.failing {
		p.host.logger.Warn("the log's next segment could not be prepared; it will be made when it is needed", "error", err)
	}
	p.failing = err != nil
}

// Rest is called now and then. If nothing was appended since the last time, it lets the log note that its last batch is durable: until then,
// damage to that batch could not be told from a write that was interrupted.
func (p *Preparer) Rest() {
	appends := p.host.log.Stats().Appends
	idle := appends == p.appends
	p.appends = appends
	if !idle || p.host.Err() != nil {
		return
	}
	if err := p.host.log.Vouch(); err != nil {
		p.host.fail(err)
		return
	}
	p.appends = p.host.log.Stats().Appends
}
