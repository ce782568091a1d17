package host

import (
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

func TestAllowance(t *testing.T) {
	a := allowance{}
	for _, step := range []struct {
		now   time.Duration
		spent int64
		want  int64
	}{
		{50 * time.Millisecond, 0, 50},
		{60 * time.Millisecond, 0, 60},
		{80 * time.Millisecond, 500, -420}, // a piece is never cut
		{280 * time.Millisecond, 0, -320},  // an idle time saves up a tenth of a second
		{380 * time.Millisecond, 0, -220},
		{480 * time.Millisecond, 0, -120},
		{580 * time.Millisecond, 0, -20},
		{680 * time.Millisecond, 0, 80},
		{time.Hour, 0, 100},
		{2 * time.Hour, 0, 100},
	} {
		a.raise(1000, 0, step.now)
		a.bytes -= step.spent
		expect(t, step.now.String(), a.bytes, step.want)
	}
	a.raise(1000, 150, 3*time.Hour)
	expect(t, "where the least is more", a.bytes, 150)
}

func TestGrowth(t *testing.T) {
	g := growth{}
	for _, step := range []struct {
		now   time.Duration
		total uint64
		want  int64
	}{
		{time.Hour, 1 << 40, 0}, // nobody has looked before
		{time.Hour + 100*time.Millisecond, 1<<40 + 500, 0},
		{time.Hour + 200*time.Millisecond, 1<<40 + 1000, 5000},
		{time.Hour + 300*time.Millisecond, 1<<40 + 1000, 5000},
		{time.Hour + 400*time.Millisecond, 1<<40 + 1000, 0},
		{2 * time.Hour, 1 << 50, 0},
	} {
		expect(t, step.now.String(), g.rate(step.total, step.now), step.want)
	}
}

// TestOldEntriesAreReadAtABoundedRate: who lags is brought back at a rate that the others do not notice, and faster where the log itself grows faster.
func TestOldEntriesAreReadAtABoundedRate(t *testing.T) {
	c := newCluster(t, 1)
	c.compaction = CompactionOptions{EntryBytesPerSecond: 20_000}
	c.startAll()
	m := c.elect(1)
	m.propose(strings.Repeat("x", 1000-HeaderBytes-32)) // entry 2, of 1000 bytes with what it occupies besides
	c.settle()
	load := raft.Load{For: 2, From: 2, To: 2, MaxBytes: 1 << 20}
	now := time.Minute
	second := func(grows uint64) (bytes int) {
		for range 50 {
			if now += 20 * time.Millisecond; !m.host.Sending() {
				m.host.sender.inbox.put(sendWork{group: m.group, load: &load}, 0, 0)
			}
			m.host.writer.appended.Add(grows / 50)
			waits := m.host.Step(PartSender, now) || len(m.host.sender.loads) > 0
			expect(t, "it has to be stepped again", m.host.Sending(), waits)
			for _, in := range m.host.shard.inbox.take(nil) {
				expect(t, "entries", len(in.entries), 1)
				bytes += int(in.entries[0].Size())
			}
		}
		return bytes
	}
	second(0)
	expect(t, "bytes in a second", second(0), 20_000)
	second(20_000)
	expect(t, "where the log grows by as many", second(20_000), 40_000)
	second(0)
	expect(t, "where it has stopped to", second(0), 20_000)
}
