package balsatest

import (
	"bytes"
	"fmt"
	"runtime/debug"
)

// checkCommands: what is left of a command when it was written and read again means the same to the machine.
func (s *subject[C, R]) checkCommands(round uint64) {
	asGiven := s.player("a machine that is given the commands as they were made")
	again := s.sameCommands(round)
	for asGiven.at < s.length+tail {
		if err := asGiven.give(1, func(int) C { return s.command(again) }); err != nil {
			failf("%s: Apply of %s: %v", asGiven.name, s.describe(asGiven.at), err)
		}
	}
	s.player("a machine that is given the commands as the log has them").end()

	again = s.sameCommands(round)
	for i := range s.length {
		s.checkEncoding(i, s.command(again))
		s.checkDecoding(i)
	}
}

// checkEncoding: an encoding is appended to what is there.
func (s *subject[C, R]) checkEncoding(i int, c C) {
	before := []byte("before")
	b, err := s.codec.Append(bytes.Clone(before), c)
	if err != nil {
		failf("%s cannot be encoded: %v", s.describe(i), err)
	}
	if !bytes.HasPrefix(b, before) {
		failf("%s: its encoding is not appended to what is there, but takes its place", s.describe(i))
	}
	if _, err := s.codec.Decode(b[len(before):]); err != nil {
		failf("%s: it was encoded behind other bytes and cannot be decoded: %v", s.describe(i), err)
	}
}

// checkDecoding: bytes are left as they are, and those that end too early are refused, or are another command; they cause no panic.
func (s *subject[C, R]) checkDecoding(i int) {
	data := bytes.Clone(s.entry(i).data)
	if _, err := s.codec.Decode(data); err != nil {
		failf("%s cannot be decoded: %v", s.describe(i), err)
	}
	if !bytes.Equal(data, s.entry(i).data) {
		failf("%s: decoding it has changed its bytes from %q to %q", s.describe(i), s.entry(i).data, data)
	}
	for _, n := range []int{0, s.rand.IntN(len(data) + 1), max(0, len(data)-1)} {
		cut := bytes.Clone(data[:n:n])
		noPanic(fmt.Sprintf("decoding %q, the first %d bytes of %s", cut, n, s.describe(i)), func() { s.codec.Decode(cut) })
	}
}

// noPanic calls f, and says what it was about if it panics.
func noPanic(what string, f func()) {
	defer func() {
		if r := recover(); r != nil {
			failf("%s: a panic: %v\n%s", what, r, debug.Stack())
		}
	}()
	f()
}
