package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"
)

// document is what -json writes and -with reads, and what the report is made of.
type document struct {
	Machine  machine       `json:"machine"` // of Results
	Settings documentRuns  `json:"settings"`
	Results  []Result      `json:"results"`
	Scale    *scaleResults `json:"scale,omitempty"`
}

// documentRuns say how Results were measured.
type documentRuns struct {
	Systems []string `json:"systems"`
	Ops     []string `json:"ops"`
	Conc    []int    `json:"concurrency"`
	Payload int      `json:"payloadBytes"`
	Rounds  int      `json:"rounds"`
	Seconds float64  `json:"seconds"`
}

// scaleResults are what scale has measured, part by part, perhaps in several runs.
type scaleResults struct {
	Parts []partResults `json:"parts"`
}

// partResults are those of one part.
type partResults struct {
	Name    string  `json:"name"`
	Machine machine `json:"machine"`
	Command string  `json:"command"`
	Points  []point `json:"points"`
}

// of returns a part's results, nil if it was not measured.
func (r *scaleResults) of(part string) *partResults {
	if i := slices.IndexFunc(r.Parts, func(p partResults) bool { return p.Name == part }); i >= 0 {
		return &r.Parts[i]
	}
	return nil
}

// put takes the place of the part's earlier results.
func (r *scaleResults) put(p partResults) {
	if old := r.of(p.Name); old != nil {
		*old = p
		return
	}
	r.Parts = append(r.Parts, p)
}

func (s *settings) document() documentRuns {
	d := documentRuns{Ops: s.workload.ops, Conc: s.workload.conc, Payload: s.workload.payload, Rounds: s.rounds, Seconds: s.workload.length.Seconds()}
	for _, sys := range s.systems {
		d.Systems = append(d.Systems, sys.name)
	}
	return d
}

// settings are those that were written down.
func (d documentRuns) settings() (*settings, error) {
	s := &settings{rounds: d.Rounds, workload: workload{ops: d.Ops, conc: d.Conc, payload: d.Payload, length: time.Duration(d.Seconds * float64(time.Second))}}
	for _, name := range d.Systems {
		sys, err := systemNamed(name)
		if err != nil {
			return nil, err
		}
		s.systems = append(s.systems, sys)
	}
	return s, nil
}

// readDocument reads what an earlier run has written; without a path it is empty.
func readDocument(path string) (document, error) {
	var d document
	if path == "" {
		return d, nil
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return d, err
	}
	if err := json.Unmarshal(b, &d); err != nil {
		return d, fmt.Errorf("%s is not what -json writes: %w", path, err)
	}
	return d, nil
}

// write writes the report and the results, each if it is wanted.
func (d document) write(output, results string) error {
	if results != "" {
		b, err := json.MarshalIndent(d, "", "  ")
		if err != nil {
			return err
		}
		if err := os.WriteFile(results, append(b, '\n'), 0o644); err != nil {
			return err
		}
	}
	if output == "" {
		return nil
	}
	page, err := d.page()
	if err != nil {
		return err
	}
	return os.WriteFile(output, page, 0o644)
}
