package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// txnLineBytesMax bounds one line of a transaction; etcd takes no larger request.
const txnLineBytesMax = 64 << 20

// readTxn reads a transaction in etcdctl's form: three parts with an empty line after each. The last empty lines may
// be missing. Lines that begin with # are left out.
func readTxn(in io.Reader, prompt func(string)) (*pb.TxnRequest, error) {
	lines := &lineReader{scanner: bufio.NewScanner(in)}
	lines.scanner.Buffer(nil, txnLineBytesMax)
	r := &pb.TxnRequest{}
	prompt("compares:")
	err := lines.part(func(line string) error {
		c, err := parseCompare(line)
		r.Compare = append(r.Compare, c)
		return err
	})
	for _, branch := range []struct {
		prompt string
		ops    *[]*pb.RequestOp
	}{{"success requests (get, put, del):", &r.Success}, {"failure requests (get, put, del):", &r.Failure}} {
		if err != nil {
			return nil, err
		}
		prompt(branch.prompt)
		err = lines.part(func(line string) error {
			op, err := parseOp(line)
			*branch.ops = append(*branch.ops, op)
			return err
		})
	}
	if err != nil {
		return nil, err
	}
	if lines.count == 0 {
		return nil, inputError("the transaction is empty: \"balsa txn --help\" shows one")
	}
	return r, nil
}

// lineReader hands out the lines of one part at a time.
type lineReader struct {
	scanner *bufio.Scanner
	number  int // of the line last read
	count   int // of the lines handed out
}

func (l *lineReader) part(take func(string) error) error {
	for l.scanner.Scan() {
		l.number++
		line := strings.TrimSpace(l.scanner.Text())
		if line == "" {
			return nil
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		l.count++
		if err := take(line); err != nil {
			return inputError("line %d of the transaction, %s: %w", l.number, line, err)
		}
	}
	if err := l.scanner.Err(); err != nil {
		return inputError("cannot read the transaction after line %d: %w", l.number, err)
	}
	return nil
}

// parseCompare parses a line like mod("key") > "0".
func parseCompare(line string) (*pb.Compare, error) {
	target, rest, ok := strings.Cut(line, "(")
	if !ok {
		return nil, errors.New(`write a comparison, as in mod("key") > "0"`)
	}
	key, rest, err := quoted(strings.TrimSpace(rest))
	if err != nil {
		return nil, fmt.Errorf("the key: %w", err)
	}
	rest, ok = strings.CutPrefix(strings.TrimSpace(rest), ")")
	if !ok {
		return nil, errors.New("the key needs a ) after it")
	}
	fields := strings.TrimSpace(rest)
	end := strings.IndexAny(fields, "\" \t")
	if end < 0 {
		return nil, errors.New(`write what to compare with, as in mod("key") > "0"`)
	}
	value, rest, err := quoted(strings.TrimSpace(fields[end:]))
	if err != nil {
		return nil, fmt.Errorf("the value: %w", err)
	}
	if strings.TrimSpace(rest) != "" {
		return nil, fmt.Errorf("%s after the comparison", rest)
	}
	c := &pb.Compare{Key: []byte(key)}
	if c.Result, ok = compareResults[fields[:end]]; !ok {
		return nil, fmt.Errorf("%s: compare with =, !=, < or >", fields[:end])
	}
	return c, setTarget(c, strings.TrimSpace(target), value)
}

var compareResults = map[string]pb.Compare_CompareResult{
	"=": pb.Compare_EQUAL, "!=": pb.Compare_NOT_EQUAL, ">": pb.Compare_GREATER, "<": pb.Compare_LESS,
}

func setTarget(c *pb.Compare, target, value string) error {
	base := 10
	if target == "lease" {
		base = 16
	}
	n, err := strconv.ParseInt(value, base, 64)
	switch target {
	case "ver", "version":
		c.Target, c.TargetUnion = pb.Compare_VERSION, &pb.Compare_Version{Version: n}
	case "c", "create":
		c.Target, c.TargetUnion = pb.Compare_CREATE, &pb.Compare_CreateRevision{CreateRevision: n}
	case "m", "mod":
		c.Target, c.TargetUnion = pb.Compare_MOD, &pb.Compare_ModRevision{ModRevision: n}
	case "lease":
		c.Target, c.TargetUnion = pb.Compare_LEASE, &pb.Compare_Lease{Lease: n}
	case "val", "value":
		c.Target, c.TargetUnion = pb.Compare_VALUE, &pb.Compare_Value{Value: []byte(value)}
		return nil
	default:
		return fmt.Errorf("%s: compare version, create, mod, value or lease", target)
	}
	if err != nil {
		return fmt.Errorf("%q is no number", value)
	}
	return nil
}

// quoted takes a Go string literal off the front of s.
func quoted(s string) (value, rest string, err error) {
	literal, err := strconv.QuotedPrefix(s)
	if err != nil {
		return "", "", errors.New("put it in double quotes")
	}
	value, err = strconv.Unquote(literal)
	return value, s[len(literal):], err
}

// parseOp parses a line like put key "value", with the flags of the command of that name.
func parseOp(line string) (*pb.RequestOp, error) {
	words, err := splitWords(line)
	if err != nil {
		return nil, err
	}
	fs := pflag.NewFlagSet(words[0], pflag.ContinueOnError)
	fs.Usage = func() {}
	switch words[0] {
	case "get":
		f := &getFlags{}
		f.register(fs)
		if err := fs.Parse(words[1:]); err != nil {
			return nil, err
		}
		r, err := f.request(fs.Args())
		return &pb.RequestOp{Request: &pb.RequestOp_RequestRange{RequestRange: r}}, err
	case "put":
		f := &putFlags{}
		f.register(fs)
		if err := fs.Parse(words[1:]); err != nil {
			return nil, err
		}
		r, err := f.request(fs.Args(), nil)
		return &pb.RequestOp{Request: &pb.RequestOp_RequestPut{RequestPut: r}}, err
	case "del":
		f := &delFlags{}
		f.register(fs)
		if err := fs.Parse(words[1:]); err != nil {
			return nil, err
		}
		r, err := f.request(fs.Args())
		return &pb.RequestOp{Request: &pb.RequestOp_RequestDeleteRange{RequestDeleteRange: r}}, err
	}
	return nil, errors.New("write get, put or del")
}

// splitWords splits a line at spaces. A word in double quotes is a Go string literal, one in single quotes is as it
// is.
func splitWords(line string) ([]string, error) {
	var words []string
	for rest := strings.TrimSpace(line); rest != ""; rest = strings.TrimSpace(rest) {
		switch rest[0] {
		case '"':
			word, after, err := quoted(rest)
			if err != nil {
				return nil, errors.New("a double quote is not closed")
			}
			words, rest = append(words, word), after
		case '\'':
			end := strings.IndexByte(rest[1:], '\'')
			if end < 0 {
				return nil, errors.New("a single quote is not closed")
			}
			words, rest = append(words, rest[1:end+1]), rest[end+2:]
		default:
			end := strings.IndexAny(rest, " \t")
			if end < 0 {
				end = len(rest)
			}
			words, rest = append(words, rest[:end]), rest[end:]
		}
	}
	if len(words) == 0 {
		return nil, errors.New("nothing to do")
	}
	return words, nil
}
