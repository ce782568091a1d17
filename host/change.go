package host

import (
	"errors"
	"fmt"
	"math"

	"github.com/balsa-raft/balsa/raft"
)

// MembersChange is a wish for other members on its way (thesis ch. 4). Use it once.
type MembersChange struct {
	change raft.Change
	begun  chan struct{}
	done   chan struct{}
	err    error // written before done is closed

	// Owned by the shard.
	term     raft.Term // in which the leader was asked last
	asked    int       // ticks since then
	asks     int       // how often any was
	accepted bool      // by the leader of term
	taken    bool      // by any leader, once
	seen     bool      // committed, its first configuration at least
	stale    error     // the leader knows of another change since
	why      error     // it has not begun: the leader's last word
}

// FirstBase is what Base is for Group.ChangeMembers when the change was decided on the configuration that the cluster first started with.
const FirstBase = math.MaxUint64

// ChangeMembers makes the members what c wants, on whichever member it is called. Of c the caller sets Members, Base (zero: that of the
// configuration that is in force here), Force, Ready and Apart.
func (g *Group) ChangeMembers(c raft.Change) *MembersChange {
	ch := &MembersChange{change: c, begun: make(chan struct{}), done: make(chan struct{})}
	if !g.host.shard.inbox.put(input{kind: inputChange, group: g, change: ch}, 0, 0) {
		ch.finish(ErrClosed)
	}
	return ch
}

// AbandonChange ends the wait for a change; the change itself goes on if it has begun.
func (g *Group) AbandonChange(c *MembersChange) {
	g.host.shard.inbox.put(input{kind: inputChangeAbandoned, group: g, change: c}, 0, 0)
}

// Begun is closed when the first configuration of the change is committed: servers that are to become voters are learners, at least.
func (c *MembersChange) Begun() <-chan struct{} { return c.begun }

// Done is closed when the members are what was wanted, or it is certain that this change will not make them so.
func (c *MembersChange) Done() <-chan struct{} { return c.done }

// Err says, after Done, why the members are not what was wanted; nil if they are.
func (c *MembersChange) Err() error { return c.err }

// changesMax bounds the changes that wait in one group. Only one can be under way.
const changesMax = 64

func (c *MembersChange) finish(err error) {
	c.err = err
	if err == nil {
		c.begin()
	}
	close(c.done)
}

func (c *MembersChange) begin() {
	if !c.seen {
		c.seen = true
		close(c.begun)
	}
}

// beginChange takes in a wish. Called by the shard, as all that follows.
func (g *Group) beginChange(c *MembersChange) {
	if len(g.changes) >= changesMax {
		c.finish(fmt.Errorf("%w: %d changes of the members wait here", ErrOverloaded, changesMax))
		return
	}
	for c.change.ID == 0 || c.change.ID == FirstBase {
		c.change.ID = g.host.config.Rand.Uint64()
	}
	switch c.change.Base {
	case 0:
		c.change.Base = g.raft.Configuration().Change
	case FirstBase:
		c.change.Base = 0
	}
	g.changes = append(g.changes, c)
	g.askForChange(c)
}

// askForChange gives the core a change that nobody has taken on in this term. Given twice it is the same one, by its id.
func (g *Group) askForChange(c *MembersChange) {
	c.term, c.asked, c.accepted = g.raft.Term(), 0, false
	c.asks++
	if err := g.raft.ChangeMembers(c.change); err != nil {
		g.changeAnswered(raft.ChangeAnswer{ID: c.change.ID, Err: err})
	}
}

// tickChanges asks again where no answer came, or another leader has to be asked.
func (g *Group) tickChanges() {
	for i := 0; i < len(g.changes); i++ { // an answer may remove it
		c := g.changes[i]
		c.asked++
		if c.stale == nil && (!c.accepted && c.asked >= g.raft.HeartbeatTicks() || c.accepted && !c.seen && c.term != g.raft.Term()) {
			g.askForChange(c)
		}
	}
}

// changeAnswered takes in what the leader says of a change.
func (g *Group) changeAnswered(a raft.ChangeAnswer) {
	for _, c := range g.changes {
		if c.change.ID != a.ID {
			continue
		}
		var e *raft.ChangeError
		switch {
		case a.Err == nil:
			c.accepted, c.taken = true, true
		case c.seen: // an answer that comes late
		case errors.As(a.Err, &e) && e.Reason == raft.ChangeStale && (c.taken || c.asks > 1):
			// A leader has taken it, or may have, and its answer was lost: the log will tell, unless a snapshot passes over that.
			c.stale = fmt.Errorf("%w: the change of the members may have been made before another one: %w", ErrUnknownOutcome, a.Err)
			if g.committed.Change != c.change.Base {
				g.endChange(c, c.stale) // the log goes on behind it already, and may not tell any more
			}
		case errors.As(a.Err, &e) && e.Reason != raft.ChangeBusy && e.Reason != raft.ChangeNotLeader:
			g.endChange(c, a.Err)
		default:
			c.why = a.Err // it will be asked for again
		}
		return
	}
}

// configured takes in a configuration that is committed and applied. It sees all of them, in order, but for those that a snapshot replaced.
func (g *Group) configured(at raft.ConfigurationAt) {
	g.committed = at
	if _, ok := at.Member(g.host.config.ID); ok {
		g.member = true
	}
	for i := 0; i < len(g.changes); i++ {
		c := g.changes[i]
		switch {
		case at.Change == c.change.ID && at.AtRest():
			g.endChange(c, nil)
			i--
		case at.Change == c.change.ID:
			c.begin()
		case c.seen:
			g.endChange(c, fmt.Errorf("%w before it had come to its end", ErrSuperseded))
			i--
		case c.stale != nil && at.Change != c.change.Base:
			g.endChange(c, c.stale)
			i--
		}
	}
}

// checkRemoval stops the group if this member was removed: it knows of no later configuration, or was told of one, and no leader has spoken to it for
// two election timeouts, since it was told. One that was added again goes through its own removal as it catches up, and must not stop there; and a leader
// hands over first.
func (g *Group) checkRemoval() {
	g.silence++
	if g.raft.HearsLeader() {
		g.silence, g.stranger = 0, 0
	}
	id := g.host.config.ID
	inForce := g.raft.Configuration()
	_, in := inForce.Member(id)
	known := inForce.Index == g.committed.Index // committed and applied: one that is not may yet be undone
	switch {
	case g.silence <= 2*g.raft.ElectionTicks():
	case g.member && !in && known:
		g.fail(ErrRemoved)
	case g.stranger != 0:
		g.fail(fmt.Errorf("%w, as member %x says", ErrRemoved, uint64(g.stranger)))
	}
}

func (g *Group) endChange(c *MembersChange, err error) {
	g.dropChange(c)
	c.finish(err)
}

// abandonChange ends a change's wait without an outcome.
func (g *Group) abandonChange(c *MembersChange) {
	select {
	case <-c.done:
		return
	default:
	}
	switch {
	case c.seen:
		g.endChange(c, fmt.Errorf("balsa: the change of the members has begun and goes on; it waits: %s", g.raft.ChangeWaits()))
	case c.taken:
		g.endChange(c, fmt.Errorf("%w: the leader has taken on the change of the members, and it is not committed yet", ErrUnknownOutcome))
	default:
		g.endChange(c, errors.Join(fmt.Errorf("%w: the change of the members was not begun", ErrUnknownOutcome), c.why))
	}
}

func (g *Group) dropChange(c *MembersChange) {
	for i := range g.changes {
		if g.changes[i] == c {
			g.changes = append(g.changes[:i], g.changes[i+1:]...)
			return
		}
	}
}

func (g *Group) endChanges(err error) {
	for _, c := range g.changes {
		c.finish(err)
	}
	g.changes = nil
}
