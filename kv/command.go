package kv

import (
	"encoding/binary"
	"fmt"
	"math"
)

// The bytes of a command are described in docs/formats.md. Everything that is zero is left out; what is there is
// said by flags, so that a decoder that does not know a flag refuses the command and does not misread it.
const commandFormat = 1

// The kinds of commands.
const (
	kindPut byte = iota + 1
	kindDeleteRange
	kindTxn
	kindCompact
	kindPublish
	kindPeerURLs
	kindForget
)

// The kinds of operations in a transaction.
const (
	opRange byte = iota + 1
	opPut
	opDeleteRange
	opTxn
)

const (
	putPrevKV uint64 = 1 << iota
	putIgnoreValue
	putIgnoreLease
	putLease
	putFlags = iota
)

const (
	deletePrevKV uint64 = 1 << iota
	deleteRangeEnd
	deleteFlags = iota
)

const (
	rangeRangeEnd uint64 = 1 << iota
	rangeLimit
	rangeRevision
	rangeSortOrder
	rangeSortTarget
	rangeKeysOnly
	rangeCountOnly
	rangeMinMod
	rangeMaxMod
	rangeMinCreate
	rangeMaxCreate
	rangeFlags = iota
)

const (
	compareRangeEnd uint64 = 1 << iota
	compareFlags           = iota
)

// AppendBinary appends the command's bytes to b. It fails for a command that does not set exactly one field, or
// whose transactions nest too deep.
func (c Command) AppendBinary(b []byte) ([]byte, error) {
	if err := c.checkKind(); err != nil {
		return b, err
	}
	b = append(b, commandFormat)
	switch {
	case c.Put != nil:
		return appendPut(append(b, kindPut), c.Put), nil
	case c.DeleteRange != nil:
		return appendDeleteRange(append(b, kindDeleteRange), c.DeleteRange), nil
	case c.Txn != nil:
		return appendTxn(append(b, kindTxn), c.Txn, txnDepthMax)
	case c.Compact != nil:
		return binary.AppendVarint(append(b, kindCompact), c.Compact.Revision), nil
	case c.Publish != nil:
		return appendPublish(append(b, kindPublish), c.Publish), nil
	case c.PeerURLs != nil:
		return appendPeerURLs(append(b, kindPeerURLs), c.PeerURLs), nil
	default:
		return binary.AppendUvarint(append(b, kindForget), c.Forget.ID), nil
	}
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// flag returns bit if it is set.
func flag(set bool, bit uint64) uint64 {
	if set {
		return bit
	}
	return 0
}

func appendPut(b []byte, p *PutRequest) []byte {
	flags := flag(p.PrevKV, putPrevKV) | flag(p.IgnoreValue, putIgnoreValue) | flag(p.IgnoreLease, putIgnoreLease) |
		flag(p.Lease != 0, putLease)
	b = binary.AppendUvarint(b, flags)
	b = appendBytes(b, p.Key)
	b = appendBytes(b, p.Value)
	return appendNonZero(b, p.Lease)
}

// appendNonZero appends a field whose presence is told by a flag.
func appendNonZero(b []byte, v int64) []byte {
	if v == 0 {
		return b
	}
	return binary.AppendVarint(b, v)
}

func appendNonEmpty(b, s []byte) []byte {
	if len(s) == 0 {
		return b
	}
	return appendBytes(b, s)
}

func appendDeleteRange(b []byte, d *DeleteRangeRequest) []byte {
	b = binary.AppendUvarint(b, flag(d.PrevKV, deletePrevKV)|flag(len(d.RangeEnd) > 0, deleteRangeEnd))
	b = appendBytes(b, d.Key)
	return appendNonEmpty(b, d.RangeEnd)
}

func appendRange(b []byte, r *RangeRequest) []byte {
	flags := flag(len(r.RangeEnd) > 0, rangeRangeEnd) | flag(r.Limit != 0, rangeLimit) |
		flag(r.Revision != 0, rangeRevision) | flag(r.SortOrder != 0, rangeSortOrder) |
		flag(r.SortTarget != 0, rangeSortTarget) | flag(r.KeysOnly, rangeKeysOnly) |
		flag(r.CountOnly, rangeCountOnly) | flag(r.MinModRevision != 0, rangeMinMod) |
		flag(r.MaxModRevision != 0, rangeMaxMod) | flag(r.MinCreateRevision != 0, rangeMinCreate) |
		flag(r.MaxCreateRevision != 0, rangeMaxCreate)
	b = binary.AppendUvarint(b, flags)
	b = appendBytes(b, r.Key)
	b = appendNonEmpty(b, r.RangeEnd)
	for _, v := range [...]int64{r.Limit, r.Revision, int64(r.SortOrder), int64(r.SortTarget),
		r.MinModRevision, r.MaxModRevision, r.MinCreateRevision, r.MaxCreateRevision} {
		b = appendNonZero(b, v)
	}
	return b
}

func appendCompare(b []byte, c *Compare) []byte {
	b = binary.AppendUvarint(b, flag(len(c.RangeEnd) > 0, compareRangeEnd))
	b = binary.AppendVarint(b, int64(c.Result))
	b = binary.AppendVarint(b, int64(c.Target))
	b = appendBytes(b, c.Key)
	b = appendNonEmpty(b, c.RangeEnd)
	if c.Target == CompareValue {
		return appendBytes(b, c.Value)
	}
	return binary.AppendVarint(b, c.Number)
}

func appendTxn(b []byte, t *TxnRequest, depthMax int) ([]byte, error) {
	if depthMax == 0 {
		return b, ErrTooManyOps
	}
	b = binary.AppendUvarint(b, uint64(len(t.Compare)))
	for i := range t.Compare {
		b = appendCompare(b, &t.Compare[i])
	}
	for _, branch := range [][]Op{t.Success, t.Failure} {
		b = binary.AppendUvarint(b, uint64(len(branch)))
		for i := range branch {
			var err error
			if b, err = appendOp(b, &branch[i], depthMax-1); err != nil {
				return b, err
			}
		}
	}
	return b, nil
}

func appendOp(b []byte, o *Op, depthMax int) ([]byte, error) {
	if err := exactlyOne(o.Range != nil, o.Put != nil, o.DeleteRange != nil, o.Txn != nil); err != nil {
		return b, err
	}
	switch {
	case o.Range != nil:
		return appendRange(append(b, opRange), o.Range), nil
	case o.Put != nil:
		return appendPut(append(b, opPut), o.Put), nil
	case o.DeleteRange != nil:
		return appendDeleteRange(append(b, opDeleteRange), o.DeleteRange), nil
	default:
		return appendTxn(append(b, opTxn), o.Txn, depthMax)
	}
}

func appendPublish(b []byte, m *MemberAttributes) []byte {
	b = binary.AppendUvarint(b, m.ID)
	b = appendString(b, m.Name)
	return appendURLs(b, m.ClientURLs)
}

func appendPeerURLs(b []byte, m *MemberPeerURLs) []byte {
	return appendURLs(binary.AppendUvarint(b, m.ID), m.URLs)
}

func appendURLs(b []byte, urls []string) []byte {
	b = binary.AppendUvarint(b, uint64(len(urls)))
	for _, url := range urls {
		b = appendString(b, url)
	}
	return b
}

// UnmarshalBinary reads a command from all of b, which the command's keys and values refer to from then on. Bytes
// that this version of Balsa does not understand are an error and not a command that is refused: members that
// understand them apply them, so one that does not must stop before it differs.
func (c *Command) UnmarshalBinary(b []byte) error {
	d := decoder{rest: b}
	format, kind := d.byte(), d.byte()
	if d.err == nil && format != commandFormat {
		return fmt.Errorf("kv: command has format %d, this version reads format %d: "+
			"a newer member wrote it; upgrade this one and start it again", format, commandFormat)
	}
	var command Command
	switch kind {
	case kindPut:
		command.Put = d.put()
	case kindDeleteRange:
		command.DeleteRange = d.deleteRange()
	case kindTxn:
		command.Txn = d.txn(txnDepthMax)
	case kindCompact:
		command.Compact = &CompactRequest{Revision: d.varint()}
	case kindPublish:
		command.Publish = d.publish()
	case kindPeerURLs:
		command.PeerURLs = d.peerURLs()
	case kindForget:
		command.Forget = &ForgetMember{ID: d.uvarint()}
	default:
		d.fail("kind %d is unknown", kind)
	}
	if d.err == nil && len(d.rest) > 0 {
		d.fail("%d bytes follow its end", len(d.rest))
	}
	if d.err != nil {
		return fmt.Errorf("kv: command of %d bytes: %w", len(b), d.err)
	}
	*c = command
	return nil
}

// decoder takes fields from the front of rest. After the first error it takes nothing more and returns zeros.
type decoder struct {
	rest []byte
	err  error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf(format, args...)
	}
	d.rest = nil
}

func (d *decoder) byte() byte {
	if len(d.rest) == 0 {
		d.fail("it ends early")
		return 0
	}
	v := d.rest[0]
	d.rest = d.rest[1:]
	return v
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) varint() int64 {
	v, n := binary.Varint(d.rest)
	if n <= 0 {
		d.fail("a number is cut off or too large")
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) int32() int32 {
	v := d.varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.fail("%d is out of range", v)
		return 0
	}
	return int32(v)
}

// bytes returns part of the input, or nil for none; its capacity ends with it, so that no append can reach further.
func (d *decoder) bytes() []byte {
	n := d.uvarint()
	if n > uint64(len(d.rest)) {
		d.fail("%d bytes are announced, %d left", n, len(d.rest))
		return nil
	}
	if n == 0 {
		return nil
	}
	v := d.rest[:n:n]
	d.rest = d.rest[n:]
	return v
}

// flags reads a set of n known flags.
func (d *decoder) flags(n int) uint64 {
	v := d.uvarint()
	if v>>n != 0 {
		d.fail("flags %#x are unknown: a newer member wrote it; upgrade this one", v>>n<<n)
		return 0
	}
	return v
}

// count reads the number of elements that follow, each of at least bytesMin bytes: what is made room for is bounded
// by what is there.
func (d *decoder) count(bytesMin int) int {
	n := d.uvarint()
	if n > uint64(len(d.rest)/bytesMin) {
		d.fail("%d elements are announced, %d bytes left", n, len(d.rest))
		return 0
	}
	return int(n)
}

func (d *decoder) put() *PutRequest {
	flags := d.flags(putFlags)
	p := &PutRequest{
		Key:         d.bytes(),
		Value:       d.bytes(),
		PrevKV:      flags&putPrevKV != 0,
		IgnoreValue: flags&putIgnoreValue != 0,
		IgnoreLease: flags&putIgnoreLease != 0,
	}
	if flags&putLease != 0 {
		p.Lease = d.varint()
	}
	return p
}

func (d *decoder) deleteRange() *DeleteRangeRequest {
	flags := d.flags(deleteFlags)
	r := &DeleteRangeRequest{Key: d.bytes(), PrevKV: flags&deletePrevKV != 0}
	if flags&deleteRangeEnd != 0 {
		r.RangeEnd = d.bytes()
	}
	return r
}

func (d *decoder) rangeRequest() *RangeRequest {
	flags := d.flags(rangeFlags)
	r := &RangeRequest{Key: d.bytes(), KeysOnly: flags&rangeKeysOnly != 0, CountOnly: flags&rangeCountOnly != 0}
	if flags&rangeRangeEnd != 0 {
		r.RangeEnd = d.bytes()
	}
	number := func(bit uint64, v *int64) {
		if flags&bit != 0 {
			*v = d.varint()
		}
	}
	number(rangeLimit, &r.Limit)
	number(rangeRevision, &r.Revision)
	if flags&rangeSortOrder != 0 {
		r.SortOrder = SortOrder(d.int32())
	}
	if flags&rangeSortTarget != 0 {
		r.SortTarget = SortTarget(d.int32())
	}
	number(rangeMinMod, &r.MinModRevision)
	number(rangeMaxMod, &r.MaxModRevision)
	number(rangeMinCreate, &r.MinCreateRevision)
	number(rangeMaxCreate, &r.MaxCreateRevision)
	return r
}

func (d *decoder) compare() Compare {
	flags := d.flags(compareFlags)
	c := Compare{Result: CompareResult(d.int32()), Target: CompareTarget(d.int32()), Key: d.bytes()}
	if flags&compareRangeEnd != 0 {
		c.RangeEnd = d.bytes()
	}
	if c.Target == CompareValue {
		c.Value = d.bytes()
	} else {
		c.Number = d.varint()
	}
	return c
}

func (d *decoder) txn(depthMax int) *TxnRequest {
	if depthMax == 0 {
		d.fail("transactions nest deeper than %d", txnDepthMax)
		return nil
	}
	t := &TxnRequest{}
	if n := d.count(5); n > 0 {
		t.Compare = make([]Compare, n)
		for i := range t.Compare {
			t.Compare[i] = d.compare()
		}
	}
	t.Success = d.ops(depthMax - 1)
	t.Failure = d.ops(depthMax - 1)
	return t
}

func (d *decoder) ops(depthMax int) []Op {
	n := d.count(3)
	if n == 0 {
		return nil
	}
	ops := make([]Op, n)
	for i := range ops {
		switch kind := d.byte(); kind {
		case opRange:
			ops[i].Range = d.rangeRequest()
		case opPut:
			ops[i].Put = d.put()
		case opDeleteRange:
			ops[i].DeleteRange = d.deleteRange()
		case opTxn:
			ops[i].Txn = d.txn(depthMax)
		default:
			d.fail("operation %d is unknown", kind)
		}
		if d.err != nil {
			return nil // or else a count followed by nothing would make as many empty operations as it likes
		}
	}
	return ops
}

func (d *decoder) publish() *MemberAttributes {
	return &MemberAttributes{ID: d.uvarint(), Name: string(d.bytes()), ClientURLs: d.urls()}
}

func (d *decoder) peerURLs() *MemberPeerURLs {
	return &MemberPeerURLs{ID: d.uvarint(), URLs: d.urls()}
}

func (d *decoder) urls() []string {
	n := d.count(1)
	if n == 0 {
		return nil
	}
	urls := make([]string, n)
	for i := range urls {
		urls[i] = string(d.bytes())
	}
	return urls
}
