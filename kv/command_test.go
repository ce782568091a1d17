package kv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"
)

// golden has commands with their bytes. The bytes are in logs on disk: they may be added to, and never changed.
var golden = []struct {
	name    string
	command Command
	hex     string
}{
	{"put", Command{Put: &PutRequest{Key: []byte("k"), Value: []byte("v")}}, "01010001" + "6b0176"},
	{"put all", Command{Put: &PutRequest{
		Key: []byte("k"), Value: []byte("v"), Lease: -2, PrevKV: true, IgnoreValue: true, IgnoreLease: true,
	}}, "01010f" + "016b0176" + "03"},
	{"delete", Command{DeleteRange: &DeleteRangeRequest{Key: []byte("a")}}, "0102000161"},
	{"delete range", Command{DeleteRange: &DeleteRangeRequest{
		Key: []byte("a"), RangeEnd: []byte("\x00"), PrevKV: true,
	}}, "0102030161" + "0100"},
	{"compact", Command{Compact: &CompactRequest{Revision: 300}}, "0104d804"},
	{"publish", Command{Publish: &MemberAttributes{
		ID: 7, Name: "n", ClientURLs: []string{"http://a:1", "b"},
	}}, "010507016e020a" + hex.EncodeToString([]byte("http://a:1")) + "0162"},
	{"peer URLs", Command{PeerURLs: &MemberPeerURLs{ID: 300, URLs: []string{"a", "b"}}}, "0106ac02" + "02" + "0161" + "0162"},
	{"no peer URLs", Command{PeerURLs: &MemberPeerURLs{}}, "01060000"},
	{"forget", Command{Forget: &ForgetMember{ID: 300}}, "0107ac02"},
	{"empty txn", Command{Txn: &TxnRequest{}}, "0103000000"},
	{"kubernetes update", Command{Txn: &TxnRequest{
		Compare: []Compare{{Target: CompareMod, Key: []byte("k"), Number: 5}},
		Success: []Op{{Put: &PutRequest{Key: []byte("k"), Value: []byte("v")}}},
		Failure: []Op{{Range: &RangeRequest{Key: []byte("k")}}},
	}}, "0103" + "01" + "000004016b0a" + "01" + "0200016b0176" + "01" + "0100016b"},
	{"txn all", Command{Txn: &TxnRequest{
		Compare: []Compare{
			{Result: CompareNotEqual, Target: CompareValue, Key: []byte("a"), RangeEnd: []byte("b"), Value: []byte("v")},
			{Result: CompareLess, Target: CompareLease, Key: []byte("a"), Number: -1},
		},
		Success: []Op{
			{Range: &RangeRequest{
				Key: []byte("a"), RangeEnd: []byte("b"), Limit: 1, Revision: 2, SortOrder: SortDescend,
				SortTarget: SortByValue, KeysOnly: true, CountOnly: true, MinModRevision: 3, MaxModRevision: 4,
				MinCreateRevision: 5, MaxCreateRevision: 6,
			}},
			{DeleteRange: &DeleteRangeRequest{Key: []byte("x")}},
			{Txn: &TxnRequest{Failure: []Op{{Put: &PutRequest{Key: []byte("y")}}}}},
		},
	}}, "0103" + "02" + "0106060161" + "01620176" + "000408016101" +
		"03" + "01ff0f" + "0161" + "0162" + "02040408" + "06080a0c" + "03000178" + "04" + "0000" + "01" + "0200017900" +
		"00"},
}

func TestCommandGolden(t *testing.T) {
	for _, g := range golden {
		b, err := g.command.AppendBinary(nil)
		if err != nil || hex.EncodeToString(b) != g.hex {
			t.Errorf("%s: encoded as\n%x, %v, want\n%s", g.name, b, err, g.hex)
			continue
		}
		var c Command
		if err := c.UnmarshalBinary(b); err != nil || !reflect.DeepEqual(c, g.command) {
			t.Errorf("%s: decoded as %+v, %v", g.name, c, err)
		}
		for n := range b {
			if err := c.UnmarshalBinary(b[:n]); err == nil {
				t.Errorf("%s: the first %d of %d bytes are accepted", g.name, n, len(b))
			}
		}
		if err := c.UnmarshalBinary(append(b, 0)); err == nil {
			t.Errorf("%s: a byte too many is accepted", g.name)
		}
	}
}

func TestCommandErrors(t *testing.T) {
	deep := &TxnRequest{}
	for range txnDepthMax {
		deep = &TxnRequest{Success: []Op{{Txn: deep}}}
	}
	put, txn := &PutRequest{Key: []byte("k")}, &TxnRequest{}
	for _, test := range []struct {
		command Command
		want    error
	}{
		{Command{}, ErrInvalidCommand},
		{Command{Put: put, Txn: txn}, ErrInvalidCommand},
		{Command{Txn: &TxnRequest{Success: []Op{{}}}}, ErrInvalidCommand},
		{Command{Txn: &TxnRequest{Failure: []Op{{Put: put, Txn: txn}}}}, ErrInvalidCommand},
		{Command{Txn: deep}, ErrTooManyOps},
		{Command{Txn: deep.Success[0].Txn}, nil},
	} {
		if _, err := test.command.AppendBinary(nil); !errors.Is(err, test.want) {
			t.Errorf("%+v: %v, want %v", test.command, err, test.want)
		}
	}
	for _, test := range []struct{ hex, want string }{
		{"", "ends early"},
		{"02010001", "newer member"},
		{"0109", "kind 9 is unknown"},
		{"010110016b00", "flags 0x10 are unknown"},
		{"0103ffffffff7f0000", "announced"},
		{"010300ffffffff7f00", "announced"},
		{"01030001050000000000", "operation 5 is unknown"},
		{"0101" + "00" + "ffffffffffffffffff01" + "6b", "announced"},
		{"0101" + "00" + "ffffffffffffffffffff01" + "6b", "too large"},
		{"0103" + strings.Repeat("000104", 200) + "0000", "nest deeper"},
	} {
		b, err := hex.DecodeString(test.hex)
		if err != nil {
			t.Fatal(err)
		}
		c := Command{Compact: &CompactRequest{}}
		if err := c.UnmarshalBinary(b); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want one with %q", test.hex, err, test.want)
		}
		if c.Compact == nil {
			t.Errorf("%s: a failed decode changes the command", test.hex)
		}
	}
}

func FuzzCommand(f *testing.F) {
	for _, g := range golden {
		b, _ := g.command.AppendBinary(nil)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, again Command
		if c.UnmarshalBinary(b) != nil {
			return
		}
		encoded, err := c.AppendBinary(nil)
		if err != nil {
			t.Fatalf("%x decodes to what does not encode: %v", b, err)
		}
		if err := again.UnmarshalBinary(encoded); err != nil || !reflect.DeepEqual(c, again) {
			t.Fatalf("%x encodes as %x, which decodes differently: %v", b, encoded, err)
		}
		if encodedAgain, _ := again.AppendBinary(nil); !bytes.Equal(encoded, encodedAgain) {
			t.Fatalf("%x encodes in two ways", b)
		}
		c.Check(Limits{})
		s := storeOf(put("a", "1"), put("b", "1"), put("a", "2"), del("b"), compact(3))
		for range 2 { // whatever is in the log must not panic
			before := s.Hash()
			if r := applyOne(s, c); r.Err != nil && s.Hash() != before {
				t.Fatalf("%x is refused with %v and changes the store", b, r.Err)
			}
		}
	})
}
