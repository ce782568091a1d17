package transport

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/balsa-raft/balsa/raft"
	"github.com/balsa-raft/balsa/wire"
)

// Each hello is refused with a verdict and a reason that say what is wrong, to the dialler and, once, in the log.
func TestHelloIsRefused(t *testing.T) {
	m := start1(t, 2, func(c *Config) {
		c.Peers = map[raft.NodeID]string{1: "127.0.0.1:1", 3: "127.0.0.1:1"}
		c.Admit = func(peer raft.NodeID, incarnation uint64) error {
			if peer == 9 {
				return fmt.Errorf("%w: n9 was removed; erase its data folder and add it as a new member", ErrUnknownSender)
			}
			if peer == 3 && incarnation != 7 {
				return fmt.Errorf("n3 has lost its data folder, incarnation %d instead of 7; add it as a new member", incarnation)
			}
			return nil
		}
	})
	right := wire.Hello{ClusterID: cluster, From: 1, To: 2, Incarnation: 1, Boot: 1}
	laterVersion := wire.AppendHello(nil, right)
	laterVersion[4] = 2
	laterVersion = withChecksum(laterVersion)
	for _, c := range []struct {
		name    string
		hello   []byte
		verdict wire.Verdict
		reason  string
	}{
		{"other cluster", hello(right, func(h *wire.Hello) { h.ClusterID = 0xbad }), wire.WrongCluster,
			"n2 here is of cluster ba15a, n1 of cluster bad; members of two clusters never talk: correct the address"},
		{"other member", hello(right, func(h *wire.Hello) { h.To = 4 }), wire.WrongMember, "this is member n2, not n4"},
		{"unknown sender", hello(right, func(h *wire.Hello) { h.From = 9 }), wire.UnknownSender, "n9 was removed; erase"},
		{"own id", hello(right, func(h *wire.Hello) { h.From = 2 }), wire.UnknownSender, "no two can have one id"},
		{"nobody", hello(right, func(h *wire.Hello) { h.From = 0 }), wire.UnknownSender, "ids start at 1"},
		{"wiped", hello(right, func(h *wire.Hello) { h.From, h.Incarnation = 3, 8 }), wire.WrongIncarnation, "n3 has lost its data folder"},
		{"later version", laterVersion, wire.WrongVersion, "2, this member speaks 1"},
	} {
		for range 3 {
			f := dialRaw(t, m)
			f.write(c.hello)
			if a := f.answer(); a.Verdict != c.verdict || !strings.Contains(a.Reason, c.reason) {
				t.Errorf("%s: answer %+v, want %v with %q", c.name, a, c.verdict, c.reason)
			}
			f.waitClosed()
		}
		eventually(t, "a log line for "+c.name, func() bool { return m.logs.count(c.reason) > 0 })
		if n := m.logs.count(c.reason); n != 1 {
			t.Errorf("%s: %d log lines of three refusals", c.name, n)
		}
	}
	dialAs(t, m, right).mustAccept()
	dialAs(t, m, wire.Hello{ClusterID: cluster, From: 3, To: 2, Incarnation: 7}).mustAccept()
	if s := m.Stats(); s.Refused != 21 || len(s.Peers) != 2 {
		t.Errorf("%d refusals counted, want 21; %d peers, want 2", s.Refused, len(s.Peers))
	}
}

func hello(h wire.Hello, change func(*wire.Hello)) []byte {
	change(&h)
	return wire.AppendHello(nil, h)
}

// withChecksum makes the checksum at b's end right.
func withChecksum(b []byte) []byte {
	n := len(b) - 4
	return binary.LittleEndian.AppendUint32(bytes.Clone(b[:n]), crc32.Checksum(b[:n], castagnoli))
}

// Two members that refuse each other say why, once, keep trying, and meet when the cause is gone.
func TestRefusedDialerTriesOn(t *testing.T) {
	var known atomic.Bool
	a := start1(t, 1, func(c *Config) {
		c.Admit = func(raft.NodeID, uint64) error {
			if known.Load() {
				return nil
			}
			return fmt.Errorf("%w: n2 is not known here", ErrUnknownSender)
		}
	})
	b := start1(t, 2, func(c *Config) { c.Peers = map[raft.NodeID]string{1: a.Addr()} })
	eventually(t, "the refusal is known", func() bool {
		err := b.peer(t, 1).LastErr
		return err != nil && strings.Contains(err.Error(), "refused, unknown sender: no connections are taken from this member: n2 is not known here")
	})
	eventually(t, "three attempts", func() bool { return b.peer(t, 1).Breaks >= 3 })
	b.waitUnreachable(t, 1)
	if n := b.logs.count("unknown sender"); n != 1 {
		t.Errorf("%d log lines of the refusals:\n%s", n, b.logs)
	}
	known.Store(true)
	a.SetPeer(2, b.Addr())
	b.waitConnected(t, 1)
	a.waitConnected(t, 2)
}

// A member refuses a peer whose folder is another than it knows, whichever of them dials.
func TestAdmitIsAskedWhenDialling(t *testing.T) {
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Peers = map[raft.NodeID]string{2: l.address()}
		c.Incarnation = 77
		c.Admit = func(raft.NodeID, uint64) error { return errors.New("wiped") }
	})
	f, h := l.take()
	if h.ClusterID != cluster || h.From != 1 || h.To != 2 || h.Incarnation != 77 || h.Boot == 0 {
		t.Errorf("hello %+v", h)
	}
	f.accept()
	f.waitClosed()
	m.waitUnreachable(t, 2)
	if p := m.peer(t, 2); p.Connected || p.LastErr == nil || p.LastErr.Error() != "wiped" {
		t.Errorf("peer %+v", p)
	}
}

// A peer that accepts and says nothing, or hangs up, is unreachable; the cause says which.
func TestNoAnswer(t *testing.T) {
	l := newFakePeer(t)
	m := start1(t, 1, func(c *Config) {
		c.Peers = map[raft.NodeID]string{2: l.address()}
		c.HandshakeTimeout = 100 * time.Millisecond
	})
	f, _ := l.take()
	m.waitUnreachable(t, 2)
	f.waitClosed()
	if err := m.peer(t, 2).LastErr; fmt.Sprint(err) != "no answer to the hello within 100ms" {
		t.Errorf("cause %v", err)
	}
	for m.logs.count("it closed the connection instead of answering the hello") == 0 { // one may have timed out before
		f, _ = l.take()
		f.Close()
		m.waitUnreachable(t, 2)
	}
}

// What strangers send, or do not send, costs them their connection and nobody else anything.
func TestHostileStrangers(t *testing.T) {
	t.Parallel()
	ms := startAll(t, 2, func(c *Config) { c.HandshakeTimeout = 200 * time.Millisecond })
	m := ms[0]
	before := ms[1].peer(t, 1).Breaks
	right := wire.AppendHello(nil, wire.Hello{ClusterID: cluster, From: 2, To: 1})
	for name, b := range map[string][]byte{
		"web browser":    []byte("GET / HTTP/1.1\r\nHost: n1\r\n\r\n"),
		"zeros":          make([]byte, 10_000),
		"long hello":     append([]byte("BLSh\x01\x00\xff\xff"), make([]byte, 70_000)...),
		"wrong checksum": append(bytes.Clone(right[:len(right)-1]), right[len(right)-1]+1),
		"slow":           right[:7],
		"silent":         nil,
	} {
		t.Run(name, func(t *testing.T) {
			f := dialRaw(t, m)
			f.Write(b) // the other side may have hung up in the middle
			f.waitClosed()
		})
	}
	ms[1].Send(1, numbered(1))
	m.next(t)
	if p := ms[1].peer(t, 1); p.Breaks != before {
		t.Errorf("strangers broke the members' connection: %+v", p)
	}
}

// However many strangers come and say nothing, a member gets in.
func TestManyStrangers(t *testing.T) {
	m := start1(t, 1, func(c *Config) {
		c.HandshakeTimeout = time.Hour
		c.Peers = map[raft.NodeID]string{2: "127.0.0.1:1"}
	})
	var strangers []fake
	for range strangersMax + 10 {
		strangers = append(strangers, dialRaw(t, m))
	}
	for _, f := range strangers[:10] {
		f.waitClosed()
	}
	dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := len(m.strangers); n > strangersMax {
		t.Errorf("%d strangers are waited for, the limit is %d", n, strangersMax)
	}
}

// A taken port is one line that says so.
func TestTakenPort(t *testing.T) {
	a := start1(t, 1, nil)
	_, err := tryStart(t, 2, func(c *Config) { c.Listen = a.Addr() }, tcp())
	want := "transport: cannot listen on " + a.Addr() + " for peers: bind: address already in use"
	if err == nil || err.Error() != want {
		t.Errorf("error %v, want %s", err, want)
	}
}

func TestConfigIsChecked(t *testing.T) {
	for want, change := range map[string]func(*Config){
		"Config.ID is zero":                func(c *Config) { c.ID = 0 },
		"Config.Listen is empty":           func(c *Config) { c.Listen = "" },
		"Config.OutboxBytesMax is -1":      func(c *Config) { c.OutboxBytesMax = -1 },
		"Config.FrameBytesMax is -1":       func(c *Config) { c.FrameBytesMax = -1 },
		"IdleTimeout -1s":                  func(c *Config) { c.IdleTimeout = -time.Second },
		`Config.Peers has member 0 at "x"`: func(c *Config) { c.Peers = map[raft.NodeID]string{0: "x"} },
		"cannot listen on nonsense":        func(c *Config) { c.Listen = "nonsense" },
	} {
		if m, err := tryStart(t, 1, change, tcp()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, %v; want %q", m, err, want)
		}
	}
}

// Accepting goes on after errors such as a lack of file descriptors.
func TestAcceptSurvivesErrors(t *testing.T) {
	t.Parallel()
	n := tcp()
	var l *failingListener
	n.listen = func(address string) (net.Listener, error) {
		inner, err := net.Listen("tcp", address)
		l = &failingListener{inner, 3}
		return l, err
	}
	m, err := tryStart(t, 1, func(c *Config) { c.Peers = map[raft.NodeID]string{2: "127.0.0.1:1"} }, n)
	if err != nil {
		t.Fatal(err)
	}
	dialAs(t, m, wire.Hello{ClusterID: cluster, From: 2, To: 1}).mustAccept()
	if n := m.logs.count("too many open files"); n != 1 {
		t.Errorf("%d log lines of three errors", n)
	}
}

type failingListener struct {
	net.Listener
	failures int
}

func (l *failingListener) Accept() (net.Conn, error) {
	if l.failures > 0 {
		l.failures--
		return nil, &net.OpError{Op: "accept", Err: errors.New("too many open files")}
	}
	return l.Listener.Accept()
}
