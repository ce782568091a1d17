package script

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Command is one input line. Its methods that read an argument end the test, naming file and line, when it is missing
// or malformed. A key that nobody asked for ends it too: a misspelt key must not be a silent no-op.
type Command struct {
	Name string
	Args []string // the positional arguments, unquoted
	File string
	Line int // of the command in File, from 1

	pairs []pair
	used  map[string]bool // shared by copies of the Command
	t     tester
}

type pair struct{ key, value string }

// Pos is the command's place, "file:line".
func (c Command) Pos() string { return fmt.Sprintf("%s:%d", c.File, c.Line) }

// Fatalf ends the test with a message that begins with the command's place.
func (c Command) Fatalf(format string, args ...any) {
	c.t.Helper()
	c.t.Fatalf("%s: %s: %s", c.Pos(), c.Name, fmt.Sprintf(format, args...))
}

// Has reports whether the command has key, with any value.
func (c Command) Has(key string) bool {
	_, ok := c.lookup(key)
	return ok
}

// Get returns the value of key, which must be there.
func (c Command) Get(key string) string {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		c.Fatalf("needs %s=...", key)
	}
	return v
}

// Text returns the value of key, or otherwise if there is none.
func (c Command) Text(key, otherwise string) string {
	if v, ok := c.lookup(key); ok {
		return v
	}
	return otherwise
}

// Uint returns the value of key as a number, or otherwise if there is none.
func (c Command) Uint(key string, otherwise uint64) uint64 {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return otherwise
	}
	return c.parseUint(key, v)
}

// Int returns the value of key as a number, or otherwise if there is none.
func (c Command) Int(key string, otherwise int) int {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		c.Fatalf("%s=%q is not a number", key, v)
	}
	return n
}

// Bool returns the value of key, "true" or "false", or otherwise if there is none.
func (c Command) Bool(key string, otherwise bool) bool {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return otherwise
	}
	if v != "true" && v != "false" {
		c.Fatalf("%s=%q is neither true nor false", key, v)
	}
	return v == "true"
}

// Duration returns the value of key, written as 150ms or 2s, or otherwise if there is none.
func (c Command) Duration(key string, otherwise time.Duration) time.Duration {
	c.t.Helper()
	v, ok := c.lookup(key)
	if !ok {
		return otherwise
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		c.Fatalf("%s=%q is not a duration", key, v)
	}
	return d
}

// List returns the parts of key's value between its commas, none if there is no key or its value is empty.
func (c Command) List(key string) []string {
	v, _ := c.lookup(key)
	if v == "" {
		return nil
	}
	return strings.Split(v, ",")
}

// Arg returns the positional argument i, from 0, which must be there.
func (c Command) Arg(i int) string {
	c.t.Helper()
	if i >= len(c.Args) {
		c.Fatalf("needs %d arguments, has %d", i+1, len(c.Args))
	}
	return c.Args[i]
}

// ArgUint returns the positional argument i, from 0, as a number.
func (c Command) ArgUint(i int) uint64 {
	c.t.Helper()
	return c.parseUint(fmt.Sprintf("argument %d ", i), c.Arg(i))
}

// ArgsMax ends the test if the command has more than n positional arguments.
func (c Command) ArgsMax(n int) {
	c.t.Helper()
	if len(c.Args) > n {
		c.Fatalf("takes at most %d arguments, has %d: %q", n, len(c.Args), c.Args)
	}
}

func (c Command) parseUint(what, v string) uint64 {
	c.t.Helper()
	n, err := strconv.ParseUint(v, 10, 64)
	if err != nil {
		c.Fatalf("%s=%q is not a number from 0 on", strings.TrimSpace(what), v)
	}
	return n
}

func (c Command) lookup(key string) (string, bool) {
	c.used[key] = true
	i := slices.IndexFunc(c.pairs, func(p pair) bool { return p.key == key })
	if i < 0 {
		return "", false
	}
	return c.pairs[i].value, true
}

// checkUsed ends the test if the command carries a key that its interpreter never asked for.
func (c Command) checkUsed() {
	c.t.Helper()
	for _, p := range c.pairs {
		if !c.used[p.key] {
			c.Fatalf("takes no %s=", p.key)
		}
	}
}

// parseCommand reads one input line.
func parseCommand(line string) (Command, error) {
	c := Command{used: map[string]bool{}}
	rest := strings.TrimSpace(line)
	for rest != "" {
		key, after, isPair := cutKey(rest)
		if isPair {
			rest = after
		}
		value, after, err := cutValue(rest)
		if err != nil {
			return Command{}, err
		}
		switch {
		case !isPair && c.Name == "":
			c.Name = value
		case !isPair:
			c.Args = append(c.Args, value)
		case c.Name == "":
			return Command{}, fmt.Errorf("the line begins with %s=, not with a command", key)
		case slices.ContainsFunc(c.pairs, func(p pair) bool { return p.key == key }):
			return Command{}, fmt.Errorf("%s= is there twice", key)
		default:
			c.pairs = append(c.pairs, pair{key, value})
		}
		rest = strings.TrimLeft(after, " \t")
	}
	return c, nil
}

// cutKey takes an identifier and an equals sign off s, if s begins so.
func cutKey(s string) (key, rest string, ok bool) {
	for i, r := range s {
		switch {
		case r == '=' && i > 0:
			return s[:i], s[i+1:], true
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r == '_', i > 0 && (r >= '0' && r <= '9' || r == '-'):
		default:
			return "", "", false
		}
	}
	return "", "", false
}

// cutValue takes a quoted or bare word off s. What follows a closing quote must be a space.
func cutValue(s string) (value, rest string, err error) {
	if s == "" || s[0] != '"' && s[0] != '`' {
		if i := strings.IndexAny(s, " \t"); i >= 0 {
			return s[:i], s[i:], nil
		}
		return s, "", nil
	}
	quoted, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", fmt.Errorf("no end to the quotes of %s", s)
	}
	rest = s[len(quoted):]
	if rest != "" && rest[0] != ' ' && rest[0] != '\t' {
		return "", "", fmt.Errorf("no space after %s", quoted)
	}
	value, err = strconv.Unquote(quoted)
	if err != nil {
		return "", "", fmt.Errorf("%s: %w", quoted, err)
	}
	return value, rest, nil
}
