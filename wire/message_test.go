package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"runtime/metrics"
	"strings"
	"testing"

	"github.com/balsa-raft/balsa/raft"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// packets are the golden ones: every kind, every flag, small and largest numbers, and what repeats none, once and twice.
var packets = []struct {
	name string
	p    Packet
}{
	{"RequestVote", Packet{1, raft.RequestVote{Term: 7, CandidateID: 3, LastLogIndex: 300, LastLogTerm: 6}}},
	{"RequestVote pre-vote", Packet{1, raft.RequestVote{Term: 8, CandidateID: 3, LastLogIndex: 300, LastLogTerm: 6, PreVote: true}}},
	{"RequestVote transfer", Packet{1, raft.RequestVote{Term: 8, CandidateID: 3, LastLogIndex: 300, LastLogTerm: 6, Transfer: true}}},
	{"RequestVote largest", Packet{math.MaxUint64, raft.RequestVote{Term: math.MaxUint64, CandidateID: math.MaxUint64, LastLogIndex: math.MaxUint64, LastLogTerm: math.MaxUint64}}},
	{"RequestVoteReply refused", Packet{1, raft.RequestVoteReply{Term: 9}}},
	{"RequestVoteReply granted", Packet{1, raft.RequestVoteReply{Term: 7, VoteGranted: true}}},
	{"RequestVoteReply refused by one of a cluster that there is", Packet{1, raft.RequestVoteReply{Term: 8, Founded: true}}},
	{"RequestVoteReply pre-vote of a stranger", Packet{1, raft.RequestVoteReply{Term: 8, PreVote: true, Founded: true, Stranger: 300}}},
	{"RequestVoteReply refused by one that knows the leader", Packet{1, raft.RequestVoteReply{Term: 9, Leader: raft.Vouch{ID: 300, Incarnation: 1 << 40, Index: 7}}}},
	{"RequestVoteReply pre-vote granted", Packet{1, raft.RequestVoteReply{Term: 8, VoteGranted: true, PreVote: true}}},
	{"AppendEntries heartbeat", Packet{2, raft.AppendEntries{Term: 7, LeaderID: 1, PrevLogIndex: 300, PrevLogTerm: 7, LeaderCommit: 299, ReadSeq: 41}}},
	{"AppendEntries first entry", Packet{2, raft.AppendEntries{Term: 1, LeaderID: 1, Entries: []raft.Entry{{Term: 1, Index: 1, Type: raft.EntryNoop}}}}},
	{"AppendEntries two terms", Packet{2, raft.AppendEntries{Term: 7, LeaderID: 1, PrevLogIndex: 127, PrevLogTerm: 5, LeaderCommit: 127, Entries: []raft.Entry{
		{Term: 6, Index: 128, Type: raft.EntryCommand, Data: []byte("set a 1")},
		{Term: 7, Index: 129, Type: raft.EntryNoop},
		{Term: 7, Index: 130, Type: raft.EntryCommand},
	}}}},
	{"AppendEntriesReply success", Packet{2, raft.AppendEntriesReply{Term: 7, Success: true, MatchIndex: 130, ReadSeq: 42}}},
	{"AppendEntriesReply conflict", Packet{2, raft.AppendEntriesReply{Term: 7, PrevLogIndex: 127, ConflictTerm: 4, ConflictIndex: 90, ReadSeq: 42}}},
	{"AppendEntriesReply promise", Packet{2, raft.AppendEntriesReply{Term: 7, Success: true, MatchIndex: 130, ReadSeq: 42, Promise: 1_000_000_000}}},
	{"ForwardProposals none", Packet{3, raft.ForwardProposals{Term: 7, Stream: 300, Seq: 1}}},
	{"ForwardProposals", Packet{3, raft.ForwardProposals{Term: 7, Stream: 300, Seq: 2, Commands: [][]byte{[]byte("set b 2"), nil}}}},
	{"ForwardReply", Packet{3, raft.ForwardReply{Term: 8, Stream: 300, Seq: 2}}},
	{"ForwardReply overloaded", Packet{3, raft.ForwardReply{Term: 8, Stream: 300, Seq: 1, Reason: raft.RefusedOverloaded}}},
	{"ReadIndex", Packet{4, raft.ReadIndex{Term: 7, Seq: 1 << 40}}},
	{"ReadIndex lease", Packet{4, raft.ReadIndex{Term: 7, Seq: 1 << 40, Lease: true}}},
	{"ReadIndexReply", Packet{4, raft.ReadIndexReply{Term: 7, Seq: 1 << 40, Index: 130}}},
	{"TimeoutNow", Packet{4, raft.TimeoutNow{Term: 7, LastLogIndex: 300}}},
	{"InstallSnapshot", Packet{5, raft.InstallSnapshot{Term: 7, LeaderID: 1, LastIncludedIndex: 300, LastIncludedTerm: 6, Size: 1 << 20, Offset: 4096, Configuration: []byte("members"), Data: []byte("piece")}}},
	{"ForwardChange", Packet{5, raft.ForwardChange{Term: 7, Change: raft.Change{ID: 99, Base: 98, Force: true, Members: []raft.Member{
		{ID: 1, Address: "a:1", Suffrage: raft.Voter, Priority: 2}, {ID: 300, Suffrage: raft.Learner}}}}}},
	{"ForwardChangeReply", Packet{5, raft.ForwardChangeReply{Term: 7, ID: 99, Reason: raft.ChangeUnreachable, Detail: "not heard", Unreachable: []raft.NodeID{3, 300}}}},
	{"ForwardChange ready", Packet{5, raft.ForwardChange{Term: 7, Change: raft.Change{ID: 99, Base: 98, Ready: true}}}},
	{"ForwardChange apart", Packet{5, raft.ForwardChange{Term: 7, Change: raft.Change{ID: 99, Base: 98, Apart: true}}}},
	{"InstallSnapshotReply", Packet{5, raft.InstallSnapshotReply{Term: 7, LastIncludedIndex: 300, Offset: 4101}}},
}

func TestPacketGolden(t *testing.T) {
	var lines []string
	for _, c := range packets {
		lines = append(lines, fmt.Sprintf("%s: %x", c.name, AppendPacket(nil, c.p)))
	}
	want := golden(t, "packets.golden", lines)
	if len(want) != len(packets) {
		t.Fatalf("%d golden packets, %d here; run with -update if one was added", len(want), len(packets))
	}
	for i, c := range packets {
		name, digits, _ := strings.Cut(want[i], ": ")
		if name != c.name || lines[i] != want[i] {
			t.Errorf("written bytes changed\n got %s\nwant %s", lines[i], want[i])
		}
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		got, err := DecodePacket(b)
		if err != nil || !reflect.DeepEqual(got, c.p) {
			t.Errorf("%s: decoded %+v, %v\nwant %+v", name, got, err, c.p)
		}
	}
}

// golden returns the lines of testdata/name, after writing them if -update is set.
func golden(t *testing.T, name string, lines []string) []string {
	t.Helper()
	name = filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(name, []byte(strings.Join(lines, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSuffix(string(b), "\n"), "\n")
}

// A message that is added to raft without an encoding would panic in the first cluster that sends it.
func TestEveryMessageHasAGoldenPacket(t *testing.T) {
	have := map[string]bool{}
	for _, c := range packets {
		have[reflect.TypeOf(c.p.Message).Name()] = true
	}
	f, err := parser.ParseFile(token.NewFileSet(), "../raft/message.go", nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, d := range f.Decls {
		fn, ok := d.(*ast.FuncDecl)
		if !ok || fn.Recv == nil || fn.Name.Name != "isMessage" {
			continue
		}
		n++
		if name := fn.Recv.List[0].Type.(*ast.Ident).Name; !have[name] {
			t.Errorf("raft.%s has no golden packet", name)
		}
	}
	if n == 0 {
		t.Fatal("found no isMessage method in raft/message.go")
	}
}

func TestPacketRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := Packet{Group: raft.GroupID(number.Draw(t, "group")), Message: message.Draw(t, "message")}
		front := []byte("front")
		b := AppendPacket(front, p)
		if !bytes.HasPrefix(b, front) {
			t.Fatal("did not append")
		}
		b = b[len(front):]
		if limit := PacketSizeMax(p); len(b) > limit {
			t.Fatalf("%d bytes, PacketSizeMax says %d", len(b), limit)
		}
		got, err := DecodePacket(b)
		if err != nil || !reflect.DeepEqual(got, p) {
			t.Fatalf("decoded %+v, %v\nwant %+v", got, err, p)
		}
		for n := range b {
			if q, err := DecodePacket(b[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes decode to %+v", n, len(b), q)
			} else if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v is not ErrMalformed", err)
			}
		}
		if _, err := DecodePacket(append(b, 0)); err == nil {
			t.Fatal("a trailing byte was accepted")
		}
	})
}

// number draws lengths of varints evenly: uniform numbers would nearly all be long ones.
var number = rapid.Custom(func(t *rapid.T) uint64 {
	return rapid.Uint64().Draw(t, "n") >> rapid.IntRange(0, 63).Draw(t, "shift")
})

var data = rapid.Custom(func(t *rapid.T) []byte {
	if b := rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, "data"); len(b) > 0 {
		return b
	}
	return nil
})

var message = rapid.OneOf(
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.RequestVote{Term: term(t), CandidateID: raft.NodeID(number.Draw(t, "id")), LastLogIndex: index(t), LastLogTerm: term(t),
			PreVote: rapid.Bool().Draw(t, "pre"), Transfer: rapid.Bool().Draw(t, "transfer")}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.TimeoutNow{Term: term(t), LastLogIndex: index(t)}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.InstallSnapshotReply{Term: term(t), LastIncludedIndex: index(t), Offset: number.Draw(t, "offset")}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		m := raft.InstallSnapshot{Term: term(t), LeaderID: raft.NodeID(number.Draw(t, "id")), LastIncludedIndex: index(t), LastIncludedTerm: term(t),
			Offset: number.Draw(t, "offset") / 2, Data: data.Draw(t, "data")}
		m.Configuration = data.Draw(t, "configuration")
		m.Size = m.Offset + uint64(len(m.Data)) + number.Draw(t, "rest")/4
		return m
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		m := raft.ForwardChange{Term: term(t), Change: raft.Change{ID: number.Draw(t, "change"), Base: number.Draw(t, "base"), Force: rapid.Bool().Draw(t, "force"), Ready: rapid.Bool().Draw(t, "ready"), Apart: rapid.Bool().Draw(t, "apart")}}
		for range rapid.IntRange(0, 4).Draw(t, "members") {
			m.Change.Members = append(m.Change.Members, raft.Member{ID: raft.NodeID(number.Draw(t, "id")), Address: string(data.Draw(t, "address")),
				Suffrage: raft.Suffrage(rapid.Byte().Draw(t, "suffrage")), Priority: rapid.Byte().Draw(t, "priority")})
		}
		return m
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		m := raft.ForwardChangeReply{Term: term(t), ID: number.Draw(t, "change"), Reason: raft.ChangeReason(rapid.Byte().Draw(t, "reason")), Detail: string(data.Draw(t, "detail"))}
		for range rapid.IntRange(0, 4).Draw(t, "unreachable") {
			m.Unreachable = append(m.Unreachable, raft.NodeID(number.Draw(t, "id")))
		}
		return m
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		m := raft.RequestVoteReply{Term: term(t), VoteGranted: rapid.Bool().Draw(t, "granted"), PreVote: rapid.Bool().Draw(t, "pre"),
			Founded: rapid.Bool().Draw(t, "founded"), Stranger: index(t)}
		if id := number.Draw(t, "leader"); id != 0 {
			m.Leader = raft.Vouch{ID: raft.NodeID(id), Incarnation: number.Draw(t, "incarnation"), Index: index(t)}
		}
		return m
	}),
	rapid.Custom(appendEntriesMessage),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.AppendEntriesReply{Term: term(t), Success: rapid.Bool().Draw(t, "success"), MatchIndex: index(t), PrevLogIndex: index(t),
			ConflictTerm: term(t), ConflictIndex: index(t), ReadSeq: number.Draw(t, "seq"), Promise: raft.Nanos(number.Draw(t, "promise"))}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		m := raft.ForwardProposals{Term: term(t), Stream: number.Draw(t, "stream"), Seq: number.Draw(t, "seq")}
		for range rapid.IntRange(0, 4).Draw(t, "commands") {
			m.Commands = append(m.Commands, data.Draw(t, "command"))
		}
		return m
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.ForwardReply{Term: term(t), Stream: number.Draw(t, "stream"), Seq: number.Draw(t, "seq"),
			Reason: raft.RefuseReason(rapid.Byte().Draw(t, "reason"))}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.ReadIndex{Term: term(t), Seq: number.Draw(t, "seq"), Lease: rapid.Bool().Draw(t, "lease")}
	}),
	rapid.Custom(func(t *rapid.T) raft.Message {
		return raft.ReadIndexReply{Term: term(t), Seq: number.Draw(t, "seq"), Index: index(t)}
	}),
)

func term(t *rapid.T) raft.Term   { return raft.Term(number.Draw(t, "term")) }
func index(t *rapid.T) raft.Index { return raft.Index(number.Draw(t, "index")) }

func appendEntriesMessage(t *rapid.T) raft.Message {
	m := raft.AppendEntries{
		LeaderID:     raft.NodeID(number.Draw(t, "leader")),
		PrevLogIndex: raft.Index(rapid.Uint64Range(0, math.MaxUint64-8).Draw(t, "previous index")),
		PrevLogTerm:  term(t) >> 1,
		LeaderCommit: index(t),
		ReadSeq:      number.Draw(t, "seq"),
	}
	last := max(m.PrevLogTerm, 1)
	for i := range rapid.IntRange(0, 4).Draw(t, "entries") {
		last += raft.Term(rapid.IntRange(0, 2).Draw(t, "term step"))
		e := raft.Entry{Term: last, Index: m.PrevLogIndex + 1 + raft.Index(i), Type: raft.EntryNoop}
		if rapid.Bool().Draw(t, "command") {
			e.Type, e.Data = raft.EntryCommand, data.Draw(t, "data")
		}
		m.Entries = append(m.Entries, e)
	}
	m.Term = last + raft.Term(rapid.IntRange(0, 2).Draw(t, "later"))
	return m
}

// Each case is a valid packet with one thing wrong.
func TestDecodePacketRefuses(t *testing.T) {
	entries := func(m raft.AppendEntries, first uint64, terms ...byte) []byte {
		m.Entries = nil
		b := AppendPacket(nil, Packet{1, m})
		b = uvarints(b[:len(b)-2], first, uint64(len(terms)))
		for _, term := range terms {
			b = append(b, term, 0, 0)
		}
		return b
	}
	at5 := raft.AppendEntries{Term: 4, LeaderID: 1, PrevLogIndex: 5, PrevLogTerm: 2}
	for _, c := range []struct {
		name string
		b    []byte
		want string
	}{
		{"empty", nil, "empty packet"},
		{"kind 0", []byte{0, 1, 1, 1}, "kind 0"},
		{"unknown kind", []byte{99, 1, 1, 1}, "kind 99"},
		{"unknown flag", []byte{kindRequestVote, 1, 8, 7, 3, 9, 6}, "flag bit 3"},
		{"unknown flag of a reply", []byte{kindAppendEntriesReply, 1, 0x81, 7, 3, 9, 6, 0, 0}, "flag bit 7"},
		{"snapshot beyond its size", []byte{kindInstallSnapshot, 1, 7, 3, 9, 6, 10, 8, 0, 3, 1, 2, 3}, "3 bytes at offset 8 of a snapshot of 10"},
		{"promise of no time", []byte{kindAppendEntriesReply, 1, 2, 7, 3, 9, 6, 0, 0, 0}, "a promise of no time"},
		{"unknown flag of a read", []byte{kindReadIndex, 1, 2, 7, 1}, "flag bit 1"},
		{"long varint", []byte{kindReadIndex, 0x81, 0, 0, 7, 1}, "group is no varint"},
		{"varint over 64 bits", append([]byte{kindReadIndex, 1, 0, 7}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2), "seq is no varint"},
		{"trailing byte", []byte{kindReadIndex, 1, 0, 7, 1, 0}, "1 bytes after"},
		{"more commands than bytes", []byte{kindForwardProposals, 1, 7, 9, 1, 3, 0, 0}, "commands of 3 in 2 bytes"},
		{"commands without end", append([]byte{kindForwardProposals, 1, 7, 9, 1}, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f), "commands of"},
		{"answer without its reason", []byte{kindForwardReply, 1, 7, 9, 1}, "ends before its reason"},
		{"command longer than the packet", []byte{kindForwardProposals, 1, 7, 9, 1, 1, 3, 'a', 'b'}, "command of 3 bytes"},
		{"gap before the entries", entries(at5, 7, 2), "entries from 7 after previous log index 5"},
		{"entries overlap", entries(at5, 5, 2), "entries from 5 after previous log index 5"},
		{"term below the previous", entries(at5, 6, 1), "entry 6 of term 1 where terms 2 to 4"},
		{"terms fall", entries(at5, 6, 3, 2), "entry 7 of term 2 where terms 3 to 4"},
		{"term above the message's", entries(at5, 6, 3, 5), "entry 7 of term 5 where terms 3 to 4"},
		{"term zero", entries(raft.AppendEntries{Term: 4}, 1, 0), "entry 1 of term 0"},
		{"previous term above the message's", entries(raft.AppendEntries{Term: 4, PrevLogIndex: 5, PrevLogTerm: 5}, 0), "previous log term 5"},
		{"previous index is the last that there is", entries(raft.AppendEntries{Term: 4, PrevLogIndex: math.MaxUint64}, 0, 4), "index 0"},
	} {
		p, err := DecodePacket(c.b)
		if !errors.Is(err, ErrMalformed) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %+v, %v; want an error with %q", c.name, p, err, c.want)
		}
	}
}

func TestAppendPacketPanics(t *testing.T) {
	for name, p := range map[string]Packet{
		"no message": {},
		"gap before": {1, raft.AppendEntries{Term: 1, PrevLogIndex: 4, Entries: []raft.Entry{{Term: 1, Index: 6}}}},
		"gap within": {1, raft.AppendEntries{Term: 1, Entries: []raft.Entry{{Term: 1, Index: 1}, {Term: 1, Index: 3}}}},
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: no panic", name)
				}
			}()
			AppendPacket(nil, p)
		}()
	}
}

// Decoded data is the input's, so that a received entry is copied nowhere; and its capacity ends with it.
func TestDecodedDataAliasesTheInput(t *testing.T) {
	b := AppendPacket(nil, Packet{1, raft.AppendEntries{Term: 1, Entries: []raft.Entry{{Term: 1, Index: 1, Data: []byte("abc")}, {Term: 1, Index: 2, Data: []byte("def")}}}})
	p, err := DecodePacket(b)
	if err != nil {
		t.Fatal(err)
	}
	es := p.Message.(raft.AppendEntries).Entries
	b[bytes.Index(b, []byte("abc"))] = 'X'
	if string(es[0].Data) != "Xbc" {
		t.Errorf("data %q was copied", es[0].Data)
	}
	if _ = append(es[0].Data, "!!!!!!"...); string(es[1].Data) != "def" {
		t.Errorf("appending to one entry's data changed the next to %q", es[1].Data)
	}
}

func FuzzDecodePacket(f *testing.F) {
	for _, c := range packets {
		f.Add(AppendPacket(nil, c.p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		before := allocated()
		p, err := DecodePacket(b)
		if took := allocated() - before; took > 256<<10+20*uint64(len(b)) { // others allocate too
			t.Fatalf("%d bytes of input took %d of memory", len(b), took)
		}
		if err != nil {
			if !errors.Is(err, ErrMalformed) {
				t.Fatalf("error %v is not ErrMalformed", err)
			}
			return
		}
		if again := AppendPacket(nil, p); !bytes.Equal(again, b) {
			t.Fatalf("accepted a second form of %+v\n in %x\nout %x", p, b, again)
		}
		if n := PacketSizeMax(p); len(b) > n {
			t.Fatalf("%d bytes, PacketSizeMax says %d", len(b), n)
		}
	})
}

func allocated() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// HasData must name every kind whose decoded form holds the input, or a reader's buffer would be overwritten under a log.
func TestHasData(t *testing.T) {
	for _, c := range packets {
		b := AppendPacket(nil, c.p)
		p, err := DecodePacket(b)
		if err != nil {
			t.Fatal(err)
		}
		for i := range b {
			b[i] ^= 0xff
		}
		changed := !reflect.DeepEqual(p, c.p)
		for i := range b {
			b[i] ^= 0xff
		}
		if changed && !HasData(b) {
			t.Errorf("%s aliases its bytes, HasData says no", c.name)
		}
	}
}

func BenchmarkPacket(b *testing.B) {
	es := make([]raft.Entry, 64)
	for i := range es {
		es[i] = raft.Entry{Term: 7, Index: raft.Index(1001 + i), Data: make([]byte, 128)}
	}
	for name, p := range map[string]Packet{
		"append64x128": {1, raft.AppendEntries{Term: 7, LeaderID: 1, PrevLogIndex: 1000, PrevLogTerm: 7, Entries: es, LeaderCommit: 990, ReadSeq: 12345}},
		"reply":        {1, raft.AppendEntriesReply{Term: 7, Success: true, MatchIndex: 1064, ReadSeq: 12345}},
	} {
		buf := AppendPacket(nil, p)
		b.Run(name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				buf = AppendPacket(buf[:0], p)
			}
		})
		b.Run(name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(len(buf)))
			for b.Loop() {
				if _, err := DecodePacket(buf); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
