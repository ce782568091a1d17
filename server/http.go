package server

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/pprof"

	"github.com/balsa-raft/balsa"
)

// httpHandler answers what etcd answers over HTTP, but for the gateway.
func (s *member) httpHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/health", get(s.serveHealth))
	s.handleChecks(mux)
	mux.HandleFunc("/version", get(s.serveVersion))
	mux.HandleFunc("/metrics", get(s.serveMetrics))
	if s.config.Pprof {
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
		mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	}
	return mux
}

// get refuses every method that is not a read.
func get(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", http.MethodGet)
			http.Error(w, "Method Not Allowed", http.StatusMethodNotAllowed)
			return
		}
		h(w, r)
	}
}

func (s *member) serveVersion(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, struct {
		Server  string `json:"etcdserver"`
		Cluster string `json:"etcdcluster"`
		Storage string `json:"storage"`
		Balsa   string `json:"balsa,omitempty"`
	}{EtcdVersion, clusterVersion, clusterVersion, s.config.Version})
}

func (s *member) serveMetrics(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(s.writeMetrics())
}

// serveHealth says whether this member can serve a linearizable read, or, with ?serializable=true, a local one.
// ?exclude= names alarms that do not count; there are none yet.
func (s *member) serveHealth(w http.ResponseWriter, r *http.Request) {
	reason := s.unhealthy(r.Context(), r.URL.Query().Get("serializable") == "true")
	health, code := "true", http.StatusOK
	if reason != "" {
		health, code = "false", http.StatusServiceUnavailable
	}
	writeJSON(w, code, struct {
		Health string `json:"health"`
		Reason string `json:"reason"`
	}{health, reason})
}

// unhealthy returns the reason, or nothing. The words are etcd's.
func (s *member) unhealthy(ctx context.Context, serializable bool) string {
	select {
	case <-s.node.Done():
		return "SERVER STOPPED: " + s.node.Err().Error()
	default:
	}
	if serializable {
		return ""
	}
	if !s.view.hasLeader() {
		return "RAFT NO LEADER"
	}
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()
	if _, err := s.node.Read(ctx, balsa.Linearizable); err != nil {
		return "RANGE ERROR:" + err.Error()
	}
	return ""
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	w.Write(b)
}
