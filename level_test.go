package balsa_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

// TestLevels: what reads of each level see on every member of a cluster with leases, and on one that the others have left alone.
func TestLevels(t *testing.T) {
	c := newCluster(t, 3)
	for i := range c.nodes {
		c.stop(i)
	}
	c.drift = 0.1
	for i := range c.nodes {
		c.start(i)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*patience)
	defer cancel()
	for sum := 1; sum <= 30; sum++ {
		r, err := c.nodes[sum%3].Propose(ctx, 1)
		if err != nil {
			t.Fatal(err)
		}
		reader := (sum / 3) % 3
		for _, level := range []balsa.Level{balsa.AtLeast(r.Index), balsa.Lease, balsa.Linearizable, balsa.AtMostOld(0)} {
			i, err := c.nodes[reader].Read(ctx, level)
			if got := c.machines[reader].value(); err != nil || i < r.Index || got < sum {
				t.Fatalf("member %d, %v: %v as of %d, %v; want %d as of %d", reader, level, got, i, err, sum, r.Index)
			}
		}
	}
	last := c.nodes[0].Status().AppliedIndex
	if _, err := c.nodes[0].Read(ctx, balsa.AtMostOld(time.Hour)); err != nil {
		t.Fatal(err)
	}

	c.stop(1)
	c.stop(2)
	for _, level := range []balsa.Level{balsa.Local, balsa.AtLeast(last), balsa.AtMostOld(time.Hour)} {
		if i, err := c.nodes[0].Read(ctx, level); err != nil || i < last {
			t.Errorf("alone, %v: as of %d, %v", level, i, err)
		}
	}
	c.awaitNoLeader(0)
	for _, test := range []struct {
		level balsa.Level
		want  string
	}{
		{balsa.Linearizable, "no leader"}, {balsa.Lease, "no leader"}, {balsa.AtMostOld(time.Nanosecond), "no leader"},
		{balsa.AtLeast(last + 1000), "not yet entry"},
	} {
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		_, err := c.nodes[0].Read(short, test.level)
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("alone, %v: %v", test.level, err)
		}
		cancel()
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := c.nodes[0].Read(ended, balsa.Local); err != nil {
		t.Errorf("what need not wait: %v", err)
	}
}
