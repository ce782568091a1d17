package script

import (
	"fmt"
	"slices"
	"strings"
)

const rule = "----"

// transcript is a file, cut so that its outputs can be replaced and everything else stays as it is.
type transcript struct {
	blocks []block
	tail   string // what follows the last block: comments and blank lines
}

// block is some commands with their output.
type block struct {
	head     string // the text up to and with the first rule: comments, blank lines and commands
	commands []Command
	want     string
	wantLine int // the line of the first rule, from 1
}

// parse cuts the text of a file into blocks.
func parse(file, text string) (transcript, error) {
	p := parser{file: file, lines: slices.Collect(strings.Lines(text))}
	var tr transcript
	for {
		b, ok, err := p.block()
		if err != nil {
			return transcript{}, err
		}
		if !ok {
			tr.tail = b.head
			return tr, nil
		}
		tr.blocks = append(tr.blocks, b)
	}
}

// String is the file's text with the present outputs.
func (tr transcript) String() string {
	var s strings.Builder
	for _, b := range tr.blocks {
		s.WriteString(b.head)
		s.WriteString(frame(b.want))
	}
	s.WriteString(tr.tail)
	return s.String()
}

// frame is what stands below a block's first rule: the output, between doubled rules if it needs them.
func frame(output string) string {
	for line := range strings.Lines(output) {
		if isBlank(line) || strings.HasPrefix(line, rule) {
			return rule + "\n" + output + rule + "\n" + rule + "\n"
		}
	}
	return output
}

// canShow reports whether a transcript can hold the output: one that holds or ends in the doubled rules cannot be told
// from its own frame.
func canShow(output string) bool {
	p := parser{lines: slices.Collect(strings.Lines(frame(output)))}
	shown, err := p.output()
	return err == nil && shown == output && p.next == len(p.lines)
}

type parser struct {
	file  string
	lines []string // each with its newline
	next  int
}

// block reads up to the end of the next output. It reports false when no commands are left, and then head is the rest.
func (p *parser) block() (b block, ok bool, err error) {
	var head strings.Builder
	for p.next < len(p.lines) {
		line := p.take()
		head.WriteString(line)
		switch {
		case isRule(line):
			if len(b.commands) == 0 {
				return block{}, false, p.errorf(p.next, "%s without a command above it", rule)
			}
			if !strings.HasSuffix(line, "\n") {
				head.WriteString("\n")
			}
			b.head, b.wantLine = head.String(), p.next
			b.want, err = p.output()
			return b, err == nil, err
		case isBlank(line):
			if n := len(b.commands); n > 0 {
				return block{}, false, p.errorf(b.commands[n-1].Line, "no %s after the command", rule)
			}
		case !strings.HasPrefix(line, "#"):
			c, err := parseCommand(line)
			if err != nil {
				return block{}, false, p.errorf(p.next, "%v", err)
			}
			c.File, c.Line = p.file, p.next
			b.commands = append(b.commands, c)
		}
	}
	if n := len(b.commands); n > 0 {
		return block{}, false, p.errorf(b.commands[n-1].Line, "no %s after the command", rule)
	}
	return block{head: head.String()}, false, nil
}

// output reads what stands below a rule. The blank line that ends a plain output is left for the next block's head.
func (p *parser) output() (string, error) {
	var out strings.Builder
	if p.next < len(p.lines) && isRule(p.lines[p.next]) {
		first := p.next
		p.next++
		for p.next < len(p.lines) {
			line := p.take()
			if isRule(line) && p.next < len(p.lines) && isRule(p.lines[p.next]) {
				p.next++
				if p.next < len(p.lines) && !isBlank(p.lines[p.next]) {
					return "", p.errorf(p.next+1, "no blank line after the output")
				}
				return out.String(), nil
			}
			out.WriteString(ended(line))
		}
		return "", p.errorf(first, "no doubled %s at the end of the output", rule)
	}
	for p.next < len(p.lines) && !isBlank(p.lines[p.next]) {
		out.WriteString(ended(p.take()))
	}
	return out.String(), nil
}

func (p *parser) take() string {
	p.next++
	return p.lines[p.next-1]
}

func (p *parser) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", p.file, line, fmt.Sprintf(format, args...))
}

func isRule(line string) bool  { return strings.TrimRight(line, " \t\r\n") == rule }
func isBlank(line string) bool { return strings.TrimSpace(line) == "" }

// ended is s with a newline at its end, or nothing if s is empty.
func ended(s string) string {
	if s == "" || strings.HasSuffix(s, "\n") {
		return s
	}
	return s + "\n"
}
