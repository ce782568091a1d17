package raft

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"
)

// configurations are one of each step of a change, with their bytes and how they are printed.
var configurations = []struct {
	name, bytes, printed string
	c                    Configuration
}{
	{"none yet", "01 00 0000000000000000 00", "()", Configuration{}},
	{"of founders", `01 00 0000000000000000 03
		0100000000000000 0000000000000000 22 00 00
		0200000000000000 0000000000000000 22 00 00
		0300000000000000 0000000000000000 22 00 00`, "(1 2 3)", NewConfiguration(3, 1, 2)},
	{"with all that there is to say", `01 01 0807060504030201 02
		0100000000000000 8877665544332211 22 07 06 686f73743a31
		ffffffffffffffff 0000000000000000 11 00 00`, "(1) learners 18446744073709551615",
		Configuration{Change: 0x0102030405060708, Forced: true, Members: []Member{
			{ID: 1, Address: "host:1", Incarnation: 0x1122334455667788, Suffrage: Voter, Target: Voter, Priority: 7},
			{ID: ^NodeID(0), Suffrage: Learner, Target: Learner},
		}}},
	{"pending", `01 00 0900000000000000 04
		0100000000000000 0000000000000000 22 00 00
		0200000000000000 0000000000000000 02 00 00
		0300000000000000 0000000000000000 12 00 00
		0400000000000000 0000000000000000 21 00 00`, "(1 2 3) learners 4, to be (1 4) learners 3",
		Configuration{Change: 9, Members: []Member{
			{ID: 1, Suffrage: Voter, Target: Voter}, {ID: 2, Suffrage: Voter}, {ID: 3, Suffrage: Voter, Target: Learner},
			{ID: 4, Suffrage: Learner, Target: Voter},
		}}},
	{"joint", `01 00 0900000000000000 04
		0100000000000000 0000000000000000 2a 00 00
		0200000000000000 0000000000000000 08 00 00
		0300000000000000 0000000000000000 19 00 00
		0400000000000000 0000000000000000 26 00 00`, "(1 2 3)->(1 4) learners 3",
		Configuration{Change: 9, Members: []Member{
			{ID: 1, Suffrage: Voter, Old: Voter, Target: Voter}, {ID: 2, Old: Voter}, {ID: 3, Suffrage: Learner, Old: Voter, Target: Learner},
			{ID: 4, Suffrage: Voter, Old: Learner, Target: Voter},
		}}},
	{"joint, and one is not ready", `01 02 0900000000000000 03
		0100000000000000 0000000000000000 2a 00 00
		0200000000000000 0000000000000000 08 00 00
		0400000000000000 0000000000000000 25 00 00`, "(1 2)->(1) learners 4, to be (1 4)",
		Configuration{Change: 9, Apart: true, Members: []Member{
			{ID: 1, Suffrage: Voter, Old: Voter, Target: Voter}, {ID: 2, Old: Voter}, {ID: 4, Suffrage: Learner, Old: Learner, Target: Voter},
		}}},
}

// TestConfigurationBytes pins the bytes that are in logs, in snapshots and under way.
func TestConfigurationBytes(t *testing.T) {
	for _, test := range configurations {
		want := unhex(t, test.bytes)
		if got := AppendConfiguration(nil, test.c); !bytes.Equal(got, want) {
			t.Errorf("%s: the bytes are\n%x, want\n%x", test.name, got, want)
		}
		got, err := DecodeConfiguration(want)
		if err != nil || !got.equal(test.c) {
			t.Errorf("%s: its bytes are read as %+v: %v", test.name, got, err)
		}
		if got.String() != test.printed {
			t.Errorf("%s is printed as %q, want %q", test.name, got, test.printed)
		}
	}
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestConfigurationsThatCannotBe: what no correct server has written is an error, and names what is wrong.
func TestConfigurationsThatCannotBe(t *testing.T) {
	const (
		head  = "01 00 0000000000000000 "
		apart = "01 02 0000000000000000 "
		zero  = "0000000000000000 "
		one   = "0100000000000000 "
		two   = "0200000000000000 "
	)
	for _, test := range []struct{ bytes, want string }{
		{"", "too short"},
		{"01 00 0000000000000000", "too short"},
		{"02 00 0000000000000000 00", "version 2"},
		{"01 04 0000000000000000 00", "flags 4"},
		{head + "01", "cut short"},
		{head + "01" + one + zero + "22 00", "cut short"},
		{head + "01" + one + zero + "22 00 02 61", "cut short"},
		{head + "01" + one + zero + "22 00 00 61", "1 bytes follow"},
		{head + "00 00", "1 bytes follow"},
		{head + "01" + zero + zero + "22 00 00", "id zero"},
		{head + "02" + one + zero + "22 00 00" + one + zero + "22 00 00", "n1 does not follow n1"},
		{head + "02" + two + zero + "22 00 00" + one + zero + "22 00 00", "n1 does not follow n2"},
		{head + "01" + one + zero + "33 00 00", "suffrage 3, 0, 3"},
		{head + "01" + one + zero + "62 00 00", "suffrage 2, 0, 6"},
		{head + "01" + one + zero + "2e 00 00", "suffrage 2, 3, 2"},
		{head + "01" + one + zero + "11 00 00", "no voters"},
		{head + "02" + one + zero + "22 00 00" + two + zero + "20 00 00", "n2 cannot be non-member (was non-member, will be voter)"},
		{head + "02" + one + zero + "22 00 00" + two + zero + "26 00 00", "n2 cannot be voter (was learner, will be voter)"},
		{head + "02" + one + zero + "2a 00 00" + two + zero + "28 00 00", "n2 cannot be non-member (was voter, will be voter)"},
		{head + "01" + one + zero + "08 00 00", "no voters"},
		{head + "02" + one + zero + "22 00 00" + two + zero + "2a 00 00", "n1 cannot be voter (was non-member, will be voter)"},
		{head + "02" + one + zero + "2a 00 00" + two + zero + "25 00 00", "n2 cannot be learner (was learner, will be voter)"},
		{apart + "02" + one + zero + "2a 00 00" + two + zero + "29 00 00", "n2 cannot be learner (was voter, will be voter)"},
		{apart + "02" + one + zero + "2a 00 00" + two + zero + "05 00 00", "n2 cannot be learner (was learner, will be non-member)"},
	} {
		if c, err := DecodeConfiguration(unhex(t, test.bytes)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s is read as %v: %v, want %q", test.bytes, c, err, test.want)
		}
	}
	many := NewConfiguration()
	for id := range NodeID(MembersMax + 1) {
		many.Members = append(many.Members, Member{ID: id + 1, Suffrage: Voter, Target: Voter})
	}
	if _, err := DecodeConfiguration(AppendConfiguration(nil, many)); err == nil {
		t.Errorf("%d members are too many", MembersMax+1)
	}
	many.Members = many.Members[:MembersMax]
	if _, err := DecodeConfiguration(AppendConfiguration(nil, many)); err != nil {
		t.Errorf("%d members: %v", MembersMax, err)
	}
}

// FuzzDecodeConfiguration: whatever comes, nothing panics, and what is read has one form.
func FuzzDecodeConfiguration(f *testing.F) {
	for _, test := range configurations {
		f.Add(AppendConfiguration(nil, test.c))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeConfiguration(b)
		if err != nil {
			return
		}
		if again := AppendConfiguration(nil, c); !bytes.Equal(again, b) {
			t.Errorf("%x is read as %+v, whose bytes are %x", b, c, again)
		}
		_ = c.String()
		if len(c.Members) == 0 {
			return
		}
		next, err := c.towards(Change{ID: 1, Members: c.Members})
		for step := 0; err == nil && !next.AtRest(); step++ {
			if next.Joint() {
				next = next.left()
			} else {
				next = next.entered()
			}
			if err := next.validate(); err != nil || step == 2 {
				t.Errorf("from %v: %+v: %v", c, next, err)
			}
		}
	})
}
