package server

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// method numbers the calls that are counted.
type method int

const (
	methodRange method = iota
	methodPut
	methodDeleteRange
	methodTxn
	methodCompact
	methodMemberList
	methodMemberAdd
	methodMemberRemove
	methodMemberUpdate
	methodMemberPromote
	methodStatus
	methodAlarm
	methodMoveLeader
	methodCount
)

var methodNames = [methodCount]struct{ service, name string }{
	methodRange:         {"etcdserverpb.KV", "Range"},
	methodPut:           {"etcdserverpb.KV", "Put"},
	methodDeleteRange:   {"etcdserverpb.KV", "DeleteRange"},
	methodTxn:           {"etcdserverpb.KV", "Txn"},
	methodCompact:       {"etcdserverpb.KV", "Compact"},
	methodMemberList:    {"etcdserverpb.Cluster", "MemberList"},
	methodMemberAdd:     {"etcdserverpb.Cluster", "MemberAdd"},
	methodMemberRemove:  {"etcdserverpb.Cluster", "MemberRemove"},
	methodMemberUpdate:  {"etcdserverpb.Cluster", "MemberUpdate"},
	methodMemberPromote: {"etcdserverpb.Cluster", "MemberPromote"},
	methodStatus:        {"etcdserverpb.Maintenance", "Status"},
	methodAlarm:         {"etcdserverpb.Maintenance", "Alarm"},
	methodMoveLeader:    {"etcdserverpb.Maintenance", "MoveLeader"},
}

const codeCount = int(codes.Unauthenticated) + 1

// metrics counts what the services do. Everything else that /metrics shows is asked of its owner when it is shown.
type metrics struct {
	start   time.Time
	calls   [methodCount][codeCount]atomic.Uint64
	pending atomic.Int64  // proposals whose outcome is awaited
	failed  atomic.Uint64 // proposals that were refused, or whose outcome is unknown
}

// handled counts a call that has ended.
func (m *metrics) handled(which method, err error) {
	code := codes.OK
	if err != nil {
		code = status.Code(err)
	}
	if int(code) < codeCount {
		m.calls[which][code].Add(1)
	}
}

// writeMetrics returns the member's metrics in Prometheus' text format, under the names that etcd's dashboards use.
func (s *member) writeMetrics() []byte {
	st := s.node.Status()
	revision, compacted := s.store.Revision()
	w := &metricsWriter{}
	w.gauge("etcd_server_has_leader", "Whether or not a leader exists. 1 is existence, 0 is not.", truth(st.Leader != 0))
	w.gauge("etcd_server_is_leader", "Whether or not this member is a leader. 1 if is, 0 otherwise.", truth(st.Leader == st.ID))
	w.gauge("etcd_server_is_learner", "Whether or not this member is a learner. 1 if is, 0 otherwise.", truth(s.view.learner()))
	w.counter("etcd_server_leader_changes_seen_total", "The number of leader changes seen.", float64(st.LeaderChanges))
	w.gauge("etcd_server_proposals_committed_total", "The total number of consensus proposals committed.", float64(st.CommitIndex))
	w.gauge("etcd_server_proposals_applied_total", "The total number of consensus proposals applied.", float64(st.AppliedIndex))
	w.gauge("etcd_server_proposals_pending", "The current number of pending proposals to commit.", float64(s.metrics.pending.Load()))
	w.counter("etcd_server_proposals_failed_total", "The total number of failed proposals seen.", float64(s.metrics.failed.Load()))
	w.gauge("etcd_server_quota_backend_bytes", "Current backend storage quota size in bytes.", float64(s.config.QuotaBackendBytes))
	w.gauge("etcd_mvcc_db_total_size_in_bytes", "Total size of the underlying database physically allocated in bytes.", float64(s.store.Size()))
	w.gauge("etcd_mvcc_db_total_size_in_use_in_bytes", "Total size of the underlying database logically in use in bytes.", float64(s.store.Size()))
	w.gauge("etcd_debugging_mvcc_current_revision", "The current revision of store.", float64(revision))
	w.gauge("etcd_debugging_mvcc_compact_revision", "The revision of the last compaction in store.", float64(compacted))
	w.labelled("etcd_server_version", "Which version is running. 1 for 'server_version' label with current version.", "server_version", EtcdVersion)
	w.labelled("etcd_cluster_version", "Which version is running. 1 for 'cluster_version' label with current cluster version", "cluster_version", clusterVersion)
	w.labelled("etcd_server_id", "Server or member ID in hexadecimal format. 1 for 'server_id' label with current ID.", "server_id", strconv.FormatUint(s.config.ID, 16))
	w.labelled("balsa_version", "Balsa's own version.", "version", s.config.Version)
	w.gauge("balsa_log_bytes", "The bytes of the log on disk.", float64(st.LogBytes))
	w.calls(s.metrics)
	w.process(s.metrics.start)
	return w.Bytes()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// metricsWriter writes the text format.
type metricsWriter struct{ bytes.Buffer }

func (w *metricsWriter) head(name, help, kind string) {
	fmt.Fprintf(w, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (w *metricsWriter) value(name string, v float64) {
	w.WriteString(name)
	w.WriteByte(' ')
	w.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	w.WriteByte('\n')
}

func (w *metricsWriter) gauge(name, help string, v float64) {
	w.head(name, help, "gauge")
	w.value(name, v)
}

func (w *metricsWriter) counter(name, help string, v float64) {
	w.head(name, help, "counter")
	w.value(name, v)
}

func (w *metricsWriter) labelled(name, help, label, value string) {
	w.head(name, help, "gauge")
	fmt.Fprintf(w, "%s{%s=%q} 1\n", name, label, value)
}

func (w *metricsWriter) calls(m *metrics) {
	const name = "grpc_server_handled_total"
	w.head(name, "Total number of RPCs completed on the server, regardless of success or failure.", "counter")
	for which := range m.calls {
		for code := range m.calls[which] {
			n := m.calls[which][code].Load()
			if n == 0 && code != int(codes.OK) {
				continue
			}
			fmt.Fprintf(w, "%s{grpc_code=%q,grpc_method=%q,grpc_service=%q,grpc_type=\"unary\"} %d\n",
				name, codes.Code(code), methodNames[which].name, methodNames[which].service, n)
		}
	}
}

// process writes what Prometheus' own client would say of the process.
func (w *metricsWriter) process(start time.Time) {
	w.gauge("go_goroutines", "Number of goroutines that currently exist.", float64(runtime.NumGoroutine()))
	w.gauge("process_start_time_seconds", "Start time of the process since unix epoch in seconds.", float64(start.UnixMilli())/1000)
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) == nil {
		cpu := time.Duration(u.Utime.Nano() + u.Stime.Nano())
		w.counter("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.", cpu.Seconds())
	}
	if resident, ok := residentBytes(); ok {
		w.gauge("process_resident_memory_bytes", "Resident memory size in bytes.", float64(resident))
	}
}

// residentBytes reads the process' memory from Linux' /proc.
func residentBytes() (int64, bool) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, false
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0, false
	}
	pages, err := strconv.ParseInt(fields[1], 10, 64)
	return pages * int64(os.Getpagesize()), err == nil
}
