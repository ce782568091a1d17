package transport

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Who knows no more than addresses is told the cluster and the member. It is no refusal, and nobody's connection.
func TestAsk(t *testing.T) {
	t.Parallel()
	m := start1(t, 2, func(c *Config) {
		c.Find = func(address string) (raft.NodeID, uint64, raft.Index) {
			if address == "n9:1" {
				return 9, 5, 77
			}
			return 0, 0, 77
		}
	})
	for about, want := range map[string]wire.Answer{"n9:1": {Member: 9, Incarnation: 5}, "n8:1": {}, "": {}} {
		want.Verdict, want.ClusterID, want.At = wire.Told, cluster, 77
		a, err := Ask(t.Context(), m.Addr(), about)
		if err != nil || a != want {
			t.Errorf("about %q: %+v, %v", about, a, err)
		}
	}
	if s := m.Stats(); s.Refused != 0 || len(s.Peers) != 0 || m.logs.count("refused") != 0 {
		t.Errorf("%+v\n%s", s, m.logs)
	}
	blank := start1(t, 3, nil)
	if a, err := Ask(t.Context(), blank.Addr(), "n9:1"); err != nil || a != (wire.Answer{Verdict: wire.Told, ClusterID: cluster}) {
		t.Errorf("without Find: %+v, %v", a, err)
	}
}

func TestAskInVain(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	other := newFakePeer(t)
	go func() {
		f, _ := other.take()
		f.Write(wire.AppendAnswer(nil, wire.Answer{Verdict: wire.WrongCluster, Reason: "of an earlier version"}))
	}()
	for _, c := range []struct {
		peer, about, want string
		timeout           time.Duration
	}{
		{"127.0.0.1:1", "n9:1", "ask 127.0.0.1:1: connect: connection refused", patience},
		{silent.Addr().String(), "n9:1", "no answer in time", time.Second}, // once it is connected
		{other.address(), "n9:1", "it does not answer questions: wrong cluster: of an earlier version", patience},
		{silent.Addr().String(), "n9 :1", "no address has", patience},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), c.timeout)
		_, err := Ask(ctx, c.peer, c.about)
		cancel()
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.peer, err, c.want)
		}
	}
}
