package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa"
)

// healthCheck is one of those that /livez and /readyz make. Names and words are etcd's.
type healthCheck struct {
	name string
	run  func(context.Context) error
}

// handleChecks serves /livez, which says that the process should not be killed, and /readyz, which says that it should be sent requests, and
// each check by itself below them.
func (s *member) handleChecks(mux *http.ServeMux) {
	serializable := healthCheck{"serializable_read", func(context.Context) error { return s.node.Err() }}
	for path, checks := range map[string][]healthCheck{
		"/livez": {serializable},
		"/readyz": {
			{"data_corruption", func(context.Context) error { return nil }}, // there are no alarms yet
			serializable,
			{"linearizable_read", s.checkRead},
			{"non_learner", s.checkVoter},
		},
	} {
		mux.HandleFunc(path, get(func(w http.ResponseWriter, r *http.Request) {
			excluded := r.URL.Query()["exclude"]
			serveChecks(w, r, slices.DeleteFunc(slices.Clone(checks), func(c healthCheck) bool { return slices.Contains(excluded, c.name) }))
		}))
		for _, c := range checks {
			mux.HandleFunc(path+"/"+c.name, get(func(w http.ResponseWriter, r *http.Request) { serveChecks(w, r, []healthCheck{c}) }))
		}
	}
}

func (s *member) checkRead(ctx context.Context) error {
	waiting, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, err := s.node.Read(waiting, balsa.Linearizable); err != nil {
		return readError(ctx, err)
	}
	return nil
}

func (s *member) checkVoter(context.Context) error {
	if s.view.learner() {
		return errors.New("not supported for learner")
	}
	return nil
}

// serveChecks makes the checks. What failed is always told, what is well on request.
func serveChecks(w http.ResponseWriter, r *http.Request, checks []healthCheck) {
	var report strings.Builder
	failed := false
	for _, c := range checks {
		if err := c.run(r.Context()); err != nil {
			failed = true
			fmt.Fprintf(&report, "[-]%s failed: %v\n", c.name, err)
		} else {
			fmt.Fprintf(&report, "[+]%s ok\n", c.name)
		}
	}
	if failed {
		http.Error(w, report.String(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.URL.Query().Has("verbose") {
		fmt.Fprint(w, report.String())
	}
	fmt.Fprint(w, "ok\n")
}
