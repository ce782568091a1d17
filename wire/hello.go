package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/balsa-raft/balsa/internal/must"
	"github.com/balsa-raft/balsa/raft"
)

// Version is that of the hello's body, of frames and of packets. Two members that talk agree on it.
const Version = 1

// Hello is the first thing that the dialler of a connection says. The acceptor replies with an Answer; after an
// accepting one the dialler sends frames.
//
// One that is nobody's, with ClusterID and From zero, is a question: which cluster is this, and which of its members is reached at Address?
// A server that is to join asks it, which knows no more than addresses. It is answered with Told, and the connection ends.
type Hello struct {
	ClusterID   uint64
	From, To    raft.NodeID
	Incarnation uint64 // of From's data folder
	Boot        uint64 // drawn anew each time From's process starts; tells a restart from a lost connection
	Class       Class  // of the connection that it opens
	// Address is where others reach From, as host:port, so that a member that does not know it can answer; empty if it
	// cannot say. It has at most AddressBytesMax bytes, each a visible character of ASCII.
	Address string
}

// AddressBytesMax bounds Hello.Address. A name of a host can have 253 bytes, and would not fit with its port; in practice none has.
const AddressBytesMax = 255

// CheckAddress returns an error that says why address cannot be a Hello's. It does not look whether it is host:port.
func CheckAddress(address string) error {
	if len(address) > AddressBytesMax {
		return fmt.Errorf("address of %d bytes, it can have %d", len(address), AddressBytesMax)
	}
	for i := range len(address) {
		// People will read it in logs, where a line's end would let a stranger write lines of his own.
		if c := address[i]; c <= ' ' || c > '~' {
			return fmt.Errorf("address %q has a character that no address has", address)
		}
	}
	return nil
}

// Class says what a connection carries. Each member has at most one of each class to each peer.
type Class uint8

// Classes.
const (
	Main Class = iota // every packet but InstallSnapshot
	Bulk              // InstallSnapshot alone, so that a large snapshot delays nothing else

	Classes = iota // how many there are
)

func (c Class) String() string {
	switch c {
	case Main:
		return "main"
	case Bulk:
		return "bulk"
	}
	return fmt.Sprintf("Class(%d)", uint8(c))
}

// Verdict is what the acceptor thinks of a Hello.
type Verdict uint8

// Verdicts. Each but Accepted has a text in Answer.Reason that says what is to be done.
const (
	Accepted         Verdict = iota
	WrongVersion             // the acceptor does not speak the hello's version
	WrongCluster             // the acceptor is of another cluster
	WrongMember              // the acceptor is not the member that the dialler wanted
	UnknownSender            // the acceptor takes no connections from the dialler's id
	WrongIncarnation         // the acceptor knows the dialler's id with another data folder
	Told                     // the hello was a question, and this is no refusal but what was asked for
)

var verdicts = [...]string{
	Accepted:         "accepted",
	WrongVersion:     "wrong version",
	WrongCluster:     "wrong cluster",
	WrongMember:      "wrong member",
	UnknownSender:    "unknown sender",
	WrongIncarnation: "wrong incarnation",
	Told:             "told",
}

func (v Verdict) String() string {
	if int(v) < len(verdicts) {
		return verdicts[v]
	}
	return fmt.Sprintf("Verdict(%d)", uint8(v))
}

// Answer is the acceptor's reply to a Hello.
type Answer struct {
	Verdict Verdict
	// With Accepted: the acceptor's data folder and process, and how many bytes it takes in a frame's payload.
	Incarnation   uint64
	Boot          uint64
	FrameBytesMax uint32
	// With Told: the acceptor's cluster, its member at the address of the question, zero if there is none, and the place in the log of the
	// configuration that says so: of two that disagree the later one is right. Incarnation is that of the member's data folder, if it has shown one.
	ClusterID uint64
	Member    raft.NodeID
	At        raft.Index
	// With any other verdict: why, for people. At most reasonBytesMax bytes are sent.
	Reason string
}

// Question reports whether h is a question, and no greeting.
func (h Hello) Question() bool { return h.ClusterID == 0 && h.From == 0 }

// ErrVersion is wrapped by the error of a hello whose sender speaks another version.
var ErrVersion = errors.New("another version of the protocol")

// Both greetings have the same outline, in every version, so that members of different versions can tell each
// other so: the head says how long the body is, and an Answer that refuses has the same body for ever.
//
//	magic [4] | version u8 | verdict u8 (0 in a Hello) | body length u16 | body | crc32c u32 of all before it
const (
	helloMagic  = "BLSh"
	answerMagic = "BLSa"

	greetingHeadBytes = 8
	greetingCRCBytes  = 4
	helloFixedBytes   = 41 // of a hello's body; the address is the rest
	acceptedBodyBytes = 20
	toldBodyBytes     = 32
	reasonBytesMax    = 512
	greetingBodyMax   = 1024 // what a reader takes from a stranger, of whatever version
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendHello appends the bytes of h to b. The address must pass CheckAddress.
func AppendHello(b []byte, h Hello) []byte {
	must.Be(CheckAddress(h.Address) == nil, "the address of a hello was checked: %q", h.Address)
	start := len(b)
	b = greetingHead(b, helloMagic, Accepted, helloFixedBytes+len(h.Address))
	for _, v := range [...]uint64{h.ClusterID, uint64(h.From), uint64(h.To), h.Incarnation, h.Boot} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = append(b, byte(h.Class))
	b = append(b, h.Address...)
	return greetingCRC(b, start)
}

// AppendAnswer appends the bytes of a to b.
func AppendAnswer(b []byte, a Answer) []byte {
	start := len(b)
	switch a.Verdict {
	case Accepted:
		b = greetingHead(b, answerMagic, Accepted, acceptedBodyBytes)
		b = binary.LittleEndian.AppendUint64(b, a.Incarnation)
		b = binary.LittleEndian.AppendUint64(b, a.Boot)
		b = binary.LittleEndian.AppendUint32(b, a.FrameBytesMax)
	case Told:
		b = greetingHead(b, answerMagic, Told, toldBodyBytes)
		for _, v := range [...]uint64{a.ClusterID, uint64(a.Member), a.Incarnation, uint64(a.At)} {
			b = binary.LittleEndian.AppendUint64(b, v)
		}
	default:
		reason := a.Reason[:min(len(a.Reason), reasonBytesMax)]
		b = append(greetingHead(b, answerMagic, a.Verdict, len(reason)), reason...)
	}
	return greetingCRC(b, start)
}

func greetingHead(b []byte, magic string, v Verdict, bodyBytes int) []byte {
	must.Be(bodyBytes <= greetingBodyMax, "a greeting's body is short: %d bytes", bodyBytes)
	b = append(b, magic...)
	b = append(b, Version, byte(v))
	return binary.LittleEndian.AppendUint16(b, uint16(bodyBytes))
}

func greetingCRC(b []byte, start int) []byte {
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
}

// ReadHello reads a hello and nothing after it. The error wraps ErrVersion if the other side speaks another version,
// ErrMalformed if it speaks something else altogether, and otherwise r's error. It takes little over a kilobyte.
func ReadHello(r io.Reader) (Hello, error) {
	g, err := readGreeting(r, helloMagic, "hello")
	if err != nil {
		return Hello{}, err
	}
	if g.version != Version {
		return Hello{}, fmt.Errorf("%w: %d, this member speaks %d", ErrVersion, g.version, Version)
	}
	if len(g.body) < helloFixedBytes || g.verdict != 0 {
		return Hello{}, fmt.Errorf("%w: hello with a body of %d bytes and verdict %d", ErrMalformed, len(g.body), g.verdict)
	}
	address := string(g.body[helloFixedBytes:])
	if err := CheckAddress(address); err != nil {
		return Hello{}, fmt.Errorf("%w: hello with an %w", ErrMalformed, err)
	}
	class := Class(g.body[helloFixedBytes-1])
	if class >= Classes {
		return Hello{}, fmt.Errorf("%w: hello of connection class %d, which this version does not know", ErrMalformed, class)
	}
	u := func(i int) uint64 { return binary.LittleEndian.Uint64(g.body[8*i:]) }
	return Hello{
		ClusterID:   u(0),
		From:        raft.NodeID(u(1)),
		To:          raft.NodeID(u(2)),
		Incarnation: u(3),
		Boot:        u(4),
		Class:       class,
		Address:     address,
	}, nil
}

// ReadAnswer reads an answer and nothing after it. A refusal is no error. Errors are ReadHello's.
func ReadAnswer(r io.Reader) (Answer, error) {
	g, err := readGreeting(r, answerMagic, "answer")
	if err != nil {
		return Answer{}, err
	}
	if g.verdict != Accepted && g.verdict != Told {
		if len(g.body) > reasonBytesMax {
			return Answer{}, fmt.Errorf("%w: refusal with a reason of %d bytes", ErrMalformed, len(g.body))
		}
		return Answer{Verdict: g.verdict, Reason: string(g.body)}, nil
	}
	if g.version != Version {
		return Answer{}, fmt.Errorf("%w: %d, this member speaks %d", ErrVersion, g.version, Version)
	}
	if want := map[Verdict]int{Accepted: acceptedBodyBytes, Told: toldBodyBytes}[g.verdict]; len(g.body) != want {
		return Answer{}, fmt.Errorf("%w: answer with a body of %d bytes", ErrMalformed, len(g.body))
	}
	if g.verdict == Told {
		return Answer{
			Verdict:     Told,
			ClusterID:   binary.LittleEndian.Uint64(g.body),
			Member:      raft.NodeID(binary.LittleEndian.Uint64(g.body[8:])),
			Incarnation: binary.LittleEndian.Uint64(g.body[16:]),
			At:          raft.Index(binary.LittleEndian.Uint64(g.body[24:])),
		}, nil
	}
	return Answer{
		Verdict:       Accepted,
		Incarnation:   binary.LittleEndian.Uint64(g.body),
		Boot:          binary.LittleEndian.Uint64(g.body[8:]),
		FrameBytesMax: binary.LittleEndian.Uint32(g.body[16:]),
	}, nil
}

type greeting struct {
	version byte
	verdict Verdict
	body    []byte
}

func readGreeting(r io.Reader, magic, what string) (greeting, error) {
	b := make([]byte, greetingHeadBytes, greetingHeadBytes+helloFixedBytes+AddressBytesMax+greetingCRCBytes)
	if _, err := io.ReadFull(r, b); err != nil {
		return greeting{}, fmt.Errorf("%s: %w", what, err)
	}
	if string(b[:len(magic)]) != magic {
		return greeting{}, fmt.Errorf("%w: %s starts with %q", ErrMalformed, what, b[:len(magic)])
	}
	g := greeting{version: b[4], verdict: Verdict(b[5])}
	n := int(binary.LittleEndian.Uint16(b[6:]))
	if n > greetingBodyMax {
		return greeting{}, fmt.Errorf("%w: %s of %d bytes", ErrMalformed, what, n)
	}
	b = append(b, make([]byte, n+greetingCRCBytes)...)
	if _, err := io.ReadFull(r, b[greetingHeadBytes:]); err != nil {
		return greeting{}, fmt.Errorf("%s: %w", what, noEOF(err))
	}
	end := greetingHeadBytes + n
	if binary.LittleEndian.Uint32(b[end:]) != crc32.Checksum(b[:end], castagnoli) {
		return greeting{}, fmt.Errorf("%w: %s with a wrong checksum", ErrMalformed, what)
	}
	g.body = b[greetingHeadBytes:end]
	return g, nil
}

// noEOF makes an end in the middle of something an unexpected one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
