package wire

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

var hellos = []struct {
	name string
	h    Hello
}{
	{"hello", Hello{ClusterID: 0x1122334455667788, From: 1, To: 3, Incarnation: 0xcafe, Boot: 0xb007}},
	{"hello bulk", Hello{ClusterID: 0x1122334455667788, From: 1, To: 3, Incarnation: 0xcafe, Boot: 0xb007, Class: Bulk}},
	{"hello with an address", Hello{ClusterID: 0x1122334455667788, From: 1, To: 3, Incarnation: 0xcafe, Boot: 0xb007, Address: "n1.example:7400"}},
	{"question", Hello{Address: "n1.example:7400"}},
	{"hello largest", Hello{ClusterID: math.MaxUint64, From: math.MaxUint64, To: math.MaxUint64, Incarnation: math.MaxUint64, Boot: math.MaxUint64,
		Class: Bulk, Address: strings.Repeat("a", AddressBytesMax-5) + ":7400"}},
}

var answers = []struct {
	name string
	a    Answer
}{
	{"answer accepted", Answer{Verdict: Accepted, Incarnation: 0xbeef, Boot: 0xb008, FrameBytesMax: 64 << 20}},
	{"answer wrong version", Answer{Verdict: WrongVersion, Reason: "speaks version 2, this member speaks 1"}},
	{"answer wrong cluster", Answer{Verdict: WrongCluster, Reason: "cluster 7 here"}},
	{"answer wrong member", Answer{Verdict: WrongMember, Reason: "n2 here"}},
	{"answer unknown sender", Answer{Verdict: UnknownSender, Reason: "no n9"}},
	{"answer wrong incarnation", Answer{Verdict: WrongIncarnation, Reason: "wiped"}},
	{"answer told", Answer{Verdict: Told, ClusterID: 0x1122334455667788, Member: 3, Incarnation: 0xcafe, At: 7}},
	{"answer of a later verdict", Answer{Verdict: 77}},
}

func TestHelloGolden(t *testing.T) {
	var lines []string
	for _, c := range hellos {
		lines = append(lines, fmt.Sprintf("%s: %x", c.name, AppendHello(nil, c.h)))
	}
	for _, c := range answers {
		lines = append(lines, fmt.Sprintf("%s: %x", c.name, AppendAnswer(nil, c.a)))
	}
	want := golden(t, "hello.golden", lines)
	if len(want) != len(lines) {
		t.Fatalf("%d golden greetings, %d here; run with -update if one was added", len(want), len(lines))
	}
	for i, line := range lines {
		if line != want[i] {
			t.Errorf("written bytes changed\n got %s\nwant %s", line, want[i])
		}
		_, digits, _ := strings.Cut(want[i], ": ")
		b, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		// One byte a read, and something after it, which must not be touched.
		r := bytes.NewReader(append(b, "rest"...))
		if i < len(hellos) {
			h, err := ReadHello(iotest.OneByteReader(r))
			if err != nil || h != hellos[i].h {
				t.Errorf("read %+v, %v; want %+v", h, err, hellos[i].h)
			}
		} else {
			a, err := ReadAnswer(iotest.OneByteReader(r))
			if err != nil || a != answers[i-len(hellos)].a {
				t.Errorf("read %+v, %v; want %+v", a, err, answers[i-len(hellos)].a)
			}
		}
		if rest, _ := io.ReadAll(r); string(rest) != "rest" {
			t.Errorf("%s: left %q", line, rest)
		}
	}
}

// patched returns b with b[i] = v and the checksum made right again.
func patched(b []byte, i int, v byte) []byte {
	b = bytes.Clone(b)
	b[i] = v
	n := len(b) - greetingCRCBytes
	return greetingCRC(b[:n], 0)
}

// helloOf makes a hello of any body.
func helloOf(body []byte) []byte {
	return greetingCRC(append(greetingHead(nil, helloMagic, 0, len(body)), body...), 0)
}

func TestGreetingRefuses(t *testing.T) {
	hello := AppendHello(nil, hellos[0].h)
	for _, c := range []struct {
		name string
		b    []byte
		is   error
		want string
	}{
		{"nothing", nil, io.EOF, "hello"},
		{"cut in the head", hello[:5], io.ErrUnexpectedEOF, "hello"},
		{"cut after the head", hello[:greetingHeadBytes], io.ErrUnexpectedEOF, "hello"},
		{"cut in the checksum", hello[:len(hello)-1], io.ErrUnexpectedEOF, "hello"},
		{"an answer", AppendAnswer(nil, answers[0].a), ErrMalformed, `starts with "BLSa"`},
		{"a web browser", []byte("GET / HTTP/1.1\r\n\r\n"), ErrMalformed, `starts with "GET "`},
		{"too long", append([]byte("BLSh\x01\x00\xff\xff"), make([]byte, 70_000)...), ErrMalformed, "65535 bytes"},
		{"wrong checksum", append(bytes.Clone(hello[:len(hello)-1]), hello[len(hello)-1]^1), ErrMalformed, "checksum"},
		{"later version", patched(hello, 4, 2), ErrVersion, "2, this member speaks 1"},
		{"a verdict", patched(hello, 5, 1), ErrMalformed, "verdict 1"},
		{"unknown class", patched(hello, greetingHeadBytes+helloFixedBytes-1, Classes), ErrMalformed, "class 2, which this version does not know"},
		{"short body", helloOf(make([]byte, 8)), ErrMalformed, "body of 8 bytes"},
		{"body without its last byte", helloOf(make([]byte, helloFixedBytes-1)), ErrMalformed, "body of 40 bytes"},
		{"long address", helloOf(append(make([]byte, helloFixedBytes), strings.Repeat("a", AddressBytesMax+1)...)), ErrMalformed, "address of 256 bytes"},
		{"address with a line's end", helloOf(append(make([]byte, helloFixedBytes), "n1:7400\nroot"...)), ErrMalformed, `address "n1:7400\nroot"`},
		{"address with a space", helloOf(append(make([]byte, helloFixedBytes), "n1 :7400"...)), ErrMalformed, `address "n1 :7400"`},
		{"address beyond ASCII", helloOf(append(make([]byte, helloFixedBytes), "n1:740\x80"...)), ErrMalformed, "address"},
		{"zero in the address", helloOf(make([]byte, helloFixedBytes+1)), ErrMalformed, "address"},
	} {
		h, err := ReadHello(bytes.NewReader(c.b))
		if !errors.Is(err, c.is) || !strings.Contains(fmt.Sprint(err), c.want) {
			t.Errorf("%s: %+v, %v; want %v with %q", c.name, h, err, c.is, c.want)
		}
	}
	accepted := AppendAnswer(nil, answers[0].a)
	if _, err := ReadAnswer(bytes.NewReader(patched(accepted, 4, 9))); !errors.Is(err, ErrVersion) {
		t.Errorf("accepted by a later version: %v", err)
	}
	told := AppendAnswer(nil, Answer{Verdict: Told})
	for _, c := range []struct {
		b    []byte
		want error
	}{{patched(told, 4, 9), ErrVersion}, {patched(accepted, 5, byte(Told)), ErrMalformed}, {patched(told, 5, byte(Accepted)), ErrMalformed}} {
		if _, err := ReadAnswer(bytes.NewReader(c.b)); !errors.Is(err, c.want) {
			t.Errorf("%x: %v, want %v", c.b, err, c.want)
		}
	}
	// A refusal must be readable whatever version it comes from: it is how versions tell each other apart.
	a, err := ReadAnswer(bytes.NewReader(patched(AppendAnswer(nil, answers[1].a), 4, 9)))
	if err != nil || a != answers[1].a {
		t.Errorf("refusal by a later version: %+v, %v", a, err)
	}
}

func TestLongReasonIsCut(t *testing.T) {
	b := AppendAnswer(nil, Answer{Verdict: WrongMember, Reason: strings.Repeat("x", 70_000)})
	a, err := ReadAnswer(bytes.NewReader(b))
	if err != nil || len(a.Reason) != reasonBytesMax {
		t.Errorf("a reason of %d bytes, %v", len(a.Reason), err)
	}
}

func FuzzGreeting(f *testing.F) {
	for _, c := range hellos {
		f.Add(AppendHello(nil, c.h))
	}
	for _, c := range answers {
		f.Add(AppendAnswer(nil, c.a))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		// A fuzzer does not find checksums, so try the bytes with the right one as well.
		fixed := binaryCRC(b)
		for _, b := range [][]byte{b, fixed} {
			if h, err := ReadHello(bytes.NewReader(b)); err == nil {
				if again := AppendHello(nil, h); !bytes.HasPrefix(b, again) {
					t.Fatalf("accepted a second form of %+v: %x", h, b)
				}
			}
			if a, err := ReadAnswer(bytes.NewReader(b)); err == nil {
				if again := AppendAnswer(nil, a); !bytes.HasPrefix(b, again[:4]) || len(again) > len(b) {
					t.Fatalf("accepted a second form of %+v: %x", a, b)
				}
			}
		}
	})
}

func binaryCRC(b []byte) []byte {
	if len(b) < greetingHeadBytes {
		return b
	}
	n := greetingHeadBytes + int(b[6]) + int(b[7])<<8
	if n > len(b) {
		return b
	}
	sum := crc32.Checksum(b[:n], castagnoli)
	return append(bytes.Clone(b[:n]), byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}
