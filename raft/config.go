package raft

import (
	"errors"
	"fmt"
)

// Rand is the randomness of election timeouts. *rand.Rand of math/rand/v2 satisfies it.
type Rand interface {
	IntN(n int) int // in [0, n)
}

// Config is what a server is started with. The first group of fields is required.
type Config struct {
	// ID is this server.
	ID NodeID
	// Configuration is the set of servers as the group first started, for a log that has none yet. A server that is to join a group that
	// exists has the empty one: it waits for a leader.
	Configuration Configuration
	// Incarnation is that of this server's data folder; see Member.Incarnation. Zero is none: such a server cannot be added to a group as a
	// voter.
	Incarnation uint64
	// Epoch is where this incarnation begins to number its requests to leaders. It must be beyond all that any incarnation before has
	// used, which is its Epoch and one more for each request or stream of commands: the time in nanoseconds will do, a count of starts only if it is shifted
	// far to the left. If numbers repeat, a late answer to an earlier incarnation can make a read stale; if they fall, the leader takes
	// this server's commands for copies and drops them, until the term ends.
	Epoch uint64
	// Rand spreads election timeouts.
	Rand Rand

	// ElectionTicks is the election timeout: a follower that hears from no leader for a random number of ticks
	// in [ElectionTicks, 2 x ElectionTicks) stands for election, and a leader that hears from no majority for
	// ElectionTicks steps down. 100 by default.
	ElectionTicks int
	// HeartbeatTicks is the interval of heartbeats; ElectionTicks/10 by default.
	HeartbeatTicks int

	// Promise is for how long a server that hears a leader votes for nobody else, by its own clock; leases are made of it (§6.4.1). Zero, the
	// default, is no promises and no leases. An election timeout is a good choice: until then nobody stands for election anyway.
	Promise Nanos
	// Lease is for how long a leader counts on a promise, by its own clock: less than Promise, by as much as the clocks of two servers can
	// differ in speed. Promises that are shorter than its own Promise do not count. Zero is no leases.
	Lease Nanos
	// Promised is the longest Promise of this incarnation and all before: a server that starts may have given its word.
	Promised Nanos

	// AppendBytesMax bounds the entries of one AppendEntries, except that one entry is always sent; 1 MiB by default.
	AppendBytesMax uint64
	// InflightBytesMax bounds the entries sent to one peer and not yet acknowledged, and the commands forwarded to a leader and not yet
	// answered for, up to one message more; 4 MiB by default.
	InflightBytesMax uint64
	// UncommittedBytesMax bounds what a leader accepts and has not committed; 64 MiB by default.
	UncommittedBytesMax uint64
	// ApplyBytesMax bounds the entries handed out in Effects.Apply and not yet reported Applied, up to one entry more;
	// 16 MiB by default.
	ApplyBytesMax uint64
	// CacheBytesMax bounds the committed and durable entries that are kept in memory for peers; 16 MiB by default.
	CacheBytesMax uint64
}

func (c Config) withDefaults() Config {
	setDefault(&c.ElectionTicks, 100)
	setDefault(&c.HeartbeatTicks, max(1, c.ElectionTicks/10))
	setDefault(&c.AppendBytesMax, 1<<20)
	setDefault(&c.InflightBytesMax, 4<<20)
	setDefault(&c.UncommittedBytesMax, 64<<20)
	setDefault(&c.ApplyBytesMax, 16<<20)
	setDefault(&c.CacheBytesMax, 16<<20)
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports the first field that cannot work.
func (c Config) Validate() error {
	c = c.withDefaults()
	switch {
	case c.ID == 0:
		return errors.New("raft: Config.ID is zero")
	case c.Configuration.validate() != nil:
		return fmt.Errorf("raft: Config.Configuration: %w", c.Configuration.validate())
	case !c.Configuration.AtRest():
		return errors.New("raft: Config.Configuration has a change under way; a group starts without")
	case c.Rand == nil:
		return errors.New("raft: Config.Rand is nil")
	case c.HeartbeatTicks < 1 || c.ElectionTicks < 2*c.HeartbeatTicks:
		return fmt.Errorf("raft: Config.ElectionTicks %d is less than two heartbeats of %d ticks", c.ElectionTicks, c.HeartbeatTicks)
	case c.Lease > 0 && c.Lease >= c.Promise:
		return fmt.Errorf("raft: Config.Lease %d is not less than Config.Promise %d: no two clocks are the same", c.Lease, c.Promise)
	case c.Promised < c.Promise:
		return fmt.Errorf("raft: Config.Promised %d is less than Config.Promise %d", c.Promised, c.Promise)
	}
	return nil
}
