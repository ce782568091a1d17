package transport

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// What is advertised is what was asked for, or what can be dialled.
func TestAdvertise(t *testing.T) {
	for _, c := range []struct{ advertise, own, listen, want string }{
		{"a:1", "b:1", "c:1", "a:1"},
		{"", "b:1", "c:1", "b:1"},
		{"", "", "c:1", "c:1"},
		{"", "", "10.0.0.1:7", "10.0.0.1:7"},
		{"", "0.0.0.0:1", "c:1", "c:1"},
		{"", strings.Repeat("b", 300) + ":1", "c:1", "c:1"},
		{"", "", ":7", ""},
		{"", "", "0.0.0.0:7", ""},
		{"", "", "[::]:7", ""},
		{"", "", "[::1]:7", "[::1]:7"},
	} {
		inMemory(t, func(t *testing.T, n *memory) {
			l, _ := n.listen("n2:1")
			m, err := tryStart(t, 1, func(config *Config) {
				config.Advertise, config.Listen = c.advertise, c.listen
				config.Peers = map[raft.NodeID]string{2: "n2:1"}
				if c.own != "" {
					config.Peers[1] = c.own
				}
			}, network{n.listen, n.dial})
			if err != nil {
				t.Fatalf("%+v: %v", c, err)
			}
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			h, err := wire.ReadHello(conn)
			if err != nil || h.Address != c.want {
				t.Errorf("%+v: hello with %q, %v", c, h.Address, err)
			}
			conn.Close()
			m.Close()
		})
	}
	for _, wrong := range []string{"n1", ":7", "0.0.0.0:7", "[::]:7", "n1:0", "n1:", "n 1:7", strings.Repeat("n", 254) + ":7"} {
		_, err := tryStart(t, 1, func(c *Config) { c.Advertise = wrong }, tcp())
		if err == nil || !strings.Contains(err.Error(), "Config.Advertise") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
}

var errWiped = errors.New("its folder was wiped; add it under a new id")

// wipes is an Admit that refuses the incarnation 1 of each member that is told to it.
type wipes struct {
	mu  sync.Mutex
	ids map[raft.NodeID]bool
}

func (w *wipes) add(id raft.NodeID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids == nil {
		w.ids = map[raft.NodeID]bool{}
	}
	w.ids[id] = true
}

func (w *wipes) admit(id raft.NodeID, incarnation uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ids[id] && incarnation == 1 {
		return errWiped
	}
	return nil
}

// Recheck closes what is refused now, in both directions, and nothing else; guests that are refused end.
func TestRecheck(t *testing.T) {
	var w wipes
	peer, other := newFakePeer(t), newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Admit = w.admit
		c.Peers = map[raft.NodeID]string{2: peer.address(), 3: other.address()}
	})
	accept := func(l fakePeer, incarnation uint64) fake {
		f, _ := l.take()
		f.write(wire.AppendAnswer(nil, wire.Answer{Verdict: wire.Accepted, Boot: 1, Incarnation: incarnation, FrameBytesMax: 1 << 20}))
		return f
	}
	greet := func(id raft.NodeID, incarnation uint64, class wire.Class) fake {
		return dialAs(t, m, wire.Hello{ClusterID: cluster, From: id, To: 1, Boot: 1, Incarnation: incarnation, Class: class}).mustAccept()
	}
	outs := []fake{accept(peer, 1), accept(other, 1)}
	m.waitConnected(t, 2)
	m.waitConnected(t, 3)
	m.Send(2, chunk(1))
	outs = append(outs, accept(peer, 1))
	eventually(t, "the bulk connection is there", func() bool { return m.peer(t, 2).Bulk.Connected })
	ins := []fake{greet(2, 1, wire.Main), greet(2, 2, wire.Bulk), greet(3, 1, wire.Main), greet(4, 1, wire.Main), greet(5, 1, wire.Bulk)}

	m.Recheck()
	for i := range ins {
		ins[i].write(frameOf())
	}
	w.add(2)
	w.add(4)
	m.Recheck()
	for _, f := range []fake{outs[0], outs[2], ins[0], ins[3]} {
		f.waitClosed()
	}
	if p := m.peer(t, 2); p.Guest {
		t.Errorf("peer %+v", p)
	}
	eventually(t, "the cause is known", func() bool { return m.peer(t, 2).LastErr == errWiped })
	if _, ok := m.guest(4); ok {
		t.Error("a guest that is refused stays")
	}
	for i, id := range []raft.NodeID{2, 3, 5} { // those of another folder, or member, go on
		f := []fake{ins[1], ins[2], ins[4]}[i]
		if p := []wire.Packet{chunk(1), numbered(1), chunk(2)}[i]; true {
			f.write(frameOf(p))
			if d := m.next(t); d.from != id || !reflect.DeepEqual(d.packet, p) {
				t.Errorf("got a %T of n%d", d.packet.Message, d.from)
			}
		}
	}
	if p := m.peer(t, 3); !p.Connected || p.Breaks != 0 {
		t.Errorf("peer %+v", p)
	}
	f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 4, To: 1, Incarnation: 1})
	if a := f.answer(); a.Verdict != wire.WrongIncarnation || a.Reason != errWiped.Error() {
		t.Errorf("answer %+v", a)
	}
	if _, ok := m.guest(4); ok {
		t.Error("a refused hello made a guest")
	}
}

// A guest that is refused ends although no connection from it is there just now.
func TestRecheckEndsAbsentGuests(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		var refuse atomic.Bool
		m, err := tryStart(t, 1, func(c *Config) {
			c.Listen = "n1:1"
			c.Admit = func(raft.NodeID, uint64) error {
				if refuse.Load() {
					return errWiped
				}
				return nil
			}
		}, network{n.listen, n.dial})
		if err != nil {
			t.Fatal(err)
		}
		n.greet(t, m, 2, "n2:1").Close()
		synctest.Wait()
		m.Recheck()
		if _, ok := m.guest(2); !ok {
			t.Fatal("no guest")
		}
		refuse.Store(true)
		m.Recheck()
		m.expectNobody(t)
	})
}

// A configuration that changes while a connection is being opened, so that Recheck does not find it, refuses it too.
func TestAdmitIsAskedAgain(t *testing.T) {
	var asked atomic.Int64
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Admit = func(peer raft.NodeID, _ uint64) error {
			if asked.Add(1)%2 == 0 {
				return errWiped
			}
			return nil
		}
	})
	f := dialAs(t, m, wire.Hello{ClusterID: cluster, From: 3, To: 1})
	if a := f.answer(); a.Verdict != wire.WrongIncarnation || a.Reason != errWiped.Error() || asked.Load() != 2 {
		t.Errorf("answer %+v, asked %d times", a, asked.Load())
	}
	f.waitClosed()
	m.SetPeer(2, l.address())
	out, _ := l.take()
	out.accept()
	out.waitClosed()
	m.waitUnreachable(t, 2)
	if p := m.peer(t, 2); p.LastErr != errWiped {
		t.Errorf("peer %+v", p)
	}
}

// The handler is told of each refusal of the main connection, with what was said, and of nothing else.
func TestHandlerIsToldOfRefusals(t *testing.T) {
	inMemory(t, func(t *testing.T, n *memory) {
		l, _ := n.listen("n2:1")
		m := n.start1(t, 1, "n1:1", map[raft.NodeID]string{2: "n2:1"})
		m.Send(2, chunk(1))
		said := 0
		verdict := func(i int) wire.Verdict { // each but those that refuse nothing
			if i >= int(wire.Told) {
				i++
			}
			return wire.Verdict(i)
		}
		for range 10 {
			conn, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			h, err := wire.ReadHello(conn)
			if err != nil {
				t.Fatal(err)
			}
			if h.Class == wire.Main {
				said++
				conn.Write(wire.AppendAnswer(nil, wire.Answer{Verdict: verdict(said), Reason: fmt.Sprint("reason ", said)}))
			} else {
				conn.Write(wire.AppendAnswer(nil, wire.Answer{Verdict: wire.WrongMember, Reason: "bulk"}))
				m.Send(2, chunk(1))
			}
			conn.Close()
			synctest.Wait()
			if len(m.refused) != said || len(m.unreachable) != said {
				t.Fatalf("told of %d refusals and %d failures, want %d", len(m.refused), len(m.unreachable), said)
			}
		}
		for i := 1; i <= said; i++ {
			if got, want := <-m.refused, (refused{2, verdict(i), fmt.Sprint("reason ", i)}); got != want {
				t.Errorf("told %+v, want %+v", got, want)
			}
		}
		conn, _ := l.Accept()
		conn.Close() // no answer is no refusal
		l.Close()
		time.Sleep(time.Minute)
		if len(m.refused) != 0 || said == 0 || said == 10 {
			t.Errorf("told of %d more refusals, after %d of 10 answers", len(m.refused), said)
		}
	})
}

// Members of two clusters learn which each is of, and what to do about it.
func TestClustersThatMeet(t *testing.T) {
	a := start1(t, 1, nil)
	b := start1(t, 2, func(c *Config) {
		c.ClusterID = 0xbad
		c.Peers = map[raft.NodeID]string{1: a.Addr()}
	})
	want := "n1 here is of cluster ba15a, n2 of cluster bad; members of two clusters never talk: correct the address by which n2 came here, " +
		"or start the wrong one of the two with its own cluster's id and members"
	select {
	case r := <-b.refused:
		if r != (refused{1, wire.WrongCluster, want}) {
			t.Errorf("told %+v", r)
		}
	case <-time.After(patience):
		t.Fatal("not told")
	}
	eventually(t, "both logs say it", func() bool { return a.logs.count(want) == 1 && b.logs.count(want) == 1 })
	if s := a.Stats(); len(s.Peers) != 0 {
		t.Errorf("a stranger of another cluster is a guest: %+v", s.Peers)
	}
}
