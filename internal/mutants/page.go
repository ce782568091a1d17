package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// page is docs/mutants.md: it keeps the results from one run to the next.
type page struct{ rows map[string]*row }

// row is what turned red by each of the three ways; empty if that was not tried.
type row struct{ tests, seeds, blind string }

func (r *row) cell(o options) *string {
	switch {
	case o.tests:
		return &r.tests
	case o.blind:
		return &r.blind
	}
	return &r.seeds
}

func (p *page) row(name string) *row {
	if p.rows[name] == nil {
		p.rows[name] = &row{}
	}
	return p.rows[name]
}

const columns = 7 // mutant, disaster, test, seeds, check, and blind: seeds, check

func readPage(name string) (*page, error) {
	p := &page{rows: map[string]*row{}}
	b, err := os.ReadFile(name)
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	for line := range strings.Lines(string(b)) {
		cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
		if len(cells) != columns || !strings.HasPrefix(cells[0], " `") {
			continue
		}
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		*p.row(strings.Trim(cells[0], "`")) = row{tests: cells[2], seeds: joinCells(cells[3], cells[4]), blind: joinCells(cells[5], cells[6])}
	}
	return p, err
}

func joinCells(n, check string) string {
	if check == "" {
		return n
	}
	return n + " | " + check
}

func (p *page) write(name string) error {
	var b strings.Builder
	b.WriteString(introduction)
	b.WriteString(unseenText())
	b.WriteString(p.summary())
	for _, pkg := range packages {
		fmt.Fprintf(&b, "\n## %s\n\n| fault | what it could do | test | seeds | check | clients alone: seeds | check |\n|---|---|---|---|---|---|---|\n", pkg)
		for i := range mutants {
			if m := &mutants[i]; strings.HasPrefix(m.file, pkg+"/") {
				r := p.row(m.name)
				fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", m.name, m.disaster, r.tests, twoCells(r.seeds), twoCells(r.blind))
			}
		}
	}
	return os.WriteFile(name, []byte(b.String()), 0o644)
}

func twoCells(result string) string {
	if strings.Contains(result, " | ") {
		return result
	}
	return result + " | "
}

func (p *page) summary() string {
	count := func(of func(*row) string) (killed, tried int) {
		for i := range mutants {
			switch r := of(p.row(mutants[i].name)); {
			case r == "" || strings.HasPrefix(r, survives) && isUnseen(mutants[i].name):
			case strings.HasPrefix(r, survives):
				tried++
			default:
				killed, tried = killed+1, tried+1
			}
		}
		return killed, tried
	}
	tests, ofTests := count(func(r *row) string { return r.tests })
	seeds, ofSeeds := count(func(r *row) string { return r.seeds })
	blind, ofBlind := count(func(r *row) string { return r.blind })
	return fmt.Sprintf("\nOf %d faults tests catch %d of %d that were tried. Of the others than those %d, random seeds catch %d of %d that were tried, and clients alone %d of %d.\n",
		len(mutants), tests, ofTests, len(unseen), seeds, ofSeeds, blind, ofBlind)
}

const introduction = `# Mutants

Rules that were broken on purpose, one line and one at a time, in a copy of the source, and what noticed. Measured on 2026-11-23. The faults themselves are in
[internal/mutants/table.go](../internal/mutants/table.go); a test there sees to it that each can still be planted. Once more:

    go run ./internal/mutants -again -tests
    go run ./internal/mutants -again -seeds 2000
    go run ./internal/mutants -again -seeds 2000 -blind

- *test* is the first test of raft, host, wal and snapshot that fails.
- *seeds* is how many random seeds of the simulator it takes, from 1 on, and *check* what fires then: the property that does not hold, or the assertion.
- *clients alone*: the same without assertions, and without what the simulator knows of the members. What is left is what clients see: histories that are not
  linearizable, commands that are executed twice or were said not to be, and no answer when nothing is wrong any more.

A cell that is empty was not tried. **none** of N says that N seeds have not noticed. With clients alone a fault had seven seconds, which is some 90 seeds: more would notice
more. Such faults are tried again with

    go run ./internal/mutants -survivors -seeds 2000

What is not in the table, because nobody could observe it: that a joint configuration is taken back although it is committed. Say that leader l of term t goes on from the committed joint
configuration to the old voters again. It has committed an entry of t while the joint one was in force (a change begins only then): a majority of the new voters, and one of the old, are in t, and have that entry. So
whoever may have gone on to the new voters alone in a term before t commits nothing any more, and is not elected again: its log is too short for a majority of the new voters. Whoever does so in a later
term is elected in the joint configuration, by a majority of the old voters too, and has what l has committed by the old ones; and before it goes on, a majority of the old voters has an entry
of its term, so that l's log is too short for them. That is what makes it safe to go on to the new voters, with old and new exchanged. The rule stays, for what is committed shall be made, and
` + "`raft.TestCommittedJointConfigurationIsLeft`" + ` holds it.
`
