package server

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/balsa-raft/balsa"
)

func httpGet(t *testing.T, s *testServer, path string) (code int, body string) {
	t.Helper()
	client := http.Client{Timeout: patience}
	defer client.CloseIdleConnections()
	r, err := client.Get("http://" + s.address() + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(b)
}

func TestHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	for _, test := range []struct {
		path string
		code int
		body string
	}{
		{"/version", 200, `{"etcdserver":"3.7.3","etcdcluster":"3.7.0","storage":"3.7.0","balsa":"1.2.3"}`},
		{"/health", 200, `{"health":"true","reason":""}`},
		{"/health?serializable=true", 200, `{"health":"true","reason":""}`},
		{"/health?exclude=NOSPACE", 200, `{"health":"true","reason":""}`},
		{"/livez", 200, "ok\n"},
		{"/livez?verbose", 200, "[+]serializable_read ok\nok\n"},
		{"/livez?verbose&exclude=serializable_read", 200, "ok\n"},
		{"/livez/serializable_read?verbose&exclude=serializable_read", 200, "[+]serializable_read ok\nok\n"},
		{"/livez/linearizable_read", 404, "404 page not found\n"},
		{"/readyz", 200, "ok\n"},
		{"/readyz?verbose&exclude=nothing", 200, "[+]data_corruption ok\n[+]serializable_read ok\n[+]linearizable_read ok\n[+]non_learner ok\nok\n"},
		{"/readyz?verbose&exclude=serializable_read&exclude=non_learner", 200, "[+]data_corruption ok\n[+]linearizable_read ok\nok\n"},
		{"/readyz/linearizable_read", 200, "ok\n"},
		{"/debug/pprof/", 404, "404 page not found\n"},
		{"/", 404, "404 page not found\n"},
	} {
		if code, body := httpGet(t, s, test.path); code != test.code || body != test.body {
			t.Errorf("%s: %d %s", test.path, code, body)
		}
	}
	r, err := http.Post("http://"+s.address()+"/health", "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Body.Close()
	if r.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %s", r.Status)
	}
}

func TestUnhealthy(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	s.node.failRead(balsa.ErrOverloaded)
	if code, body := httpGet(t, s, "/health"); code != 503 || body != `{"health":"false","reason":"RANGE ERROR:balsa: overloaded"}` {
		t.Errorf("overloaded: %d %s", code, body)
	}
	if code, body := httpGet(t, s, "/readyz"); code != 503 || body != "[+]data_corruption ok\n[+]serializable_read ok\n"+
		"[-]linearizable_read failed: rpc error: code = ResourceExhausted desc = etcdserver: too many requests\n[+]non_learner ok\n\n" {
		t.Errorf("overloaded: %d %s", code, body)
	}
	if code, _ := httpGet(t, s, "/livez"); code != 200 {
		t.Errorf("livez: %d", code)
	}
	s.node.loseLeader()
	time.Sleep(2 * viewAgeMax)
	if code, body := httpGet(t, s, "/health"); code != 503 || body != `{"health":"false","reason":"RAFT NO LEADER"}` {
		t.Errorf("no leader: %d %s", code, body)
	}
	if code, _ := httpGet(t, s, "/health?serializable=true"); code != 200 {
		t.Errorf("serializable: %d", code)
	}
	if err := s.node.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := httpGet(t, s, "/health?serializable=true"); code != 503 || !strings.Contains(body, "SERVER STOPPED") {
		t.Errorf("stopped: %d %s", code, body)
	}
	if code, body := httpGet(t, s, "/livez"); code != 503 || !strings.Contains(body, "[-]serializable_read failed: balsa: closed") {
		t.Errorf("stopped: %d %s", code, body)
	}
}

func TestMetrics(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	c := caller{t, s.conn}
	c.call("Put", `key:"a"`)
	c.call("Put", ``)
	s.node.failPropose(balsa.ErrUnknownOutcome)
	c.call("Put", `key:"a"`)
	code, body := httpGet(t, s, "/metrics")
	if code != 200 {
		t.Fatalf("%d", code)
	}
	for _, line := range []string{
		"etcd_server_has_leader 1",
		"etcd_server_is_leader 1",
		"etcd_server_leader_changes_seen_total 1",
		"etcd_server_proposals_pending 0",
		"etcd_server_proposals_failed_total 1",
		"# TYPE etcd_server_proposals_committed_total gauge",
		`etcd_server_version{server_version="3.7.3"} 1`,
		`etcd_server_id{server_id="8e9e05c52164694d"} 1`,
		"etcd_debugging_mvcc_current_revision 2",
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="InvalidArgument",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="Unavailable",grpc_method="Put",grpc_service="etcdserverpb.KV",grpc_type="unary"} 1`,
		`grpc_server_handled_total{grpc_code="OK",grpc_method="Range",grpc_service="etcdserverpb.KV",grpc_type="unary"} 0`,
	} {
		if !strings.Contains(body, line+"\n") {
			t.Errorf("missing: %s", line)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
	// Every line is one of the text format's.
	for line := range strings.Lines(body) {
		if !strings.HasPrefix(line, "# HELP ") && !strings.HasPrefix(line, "# TYPE ") && len(strings.Fields(line)) != 2 {
			t.Errorf("malformed: %q", line)
		}
	}
}

func TestPprof(t *testing.T) {
	t.Parallel()
	s := start(t, func(c *Config) { c.Pprof = true })
	if code, _ := httpGet(t, s, "/debug/pprof/"); code != 200 {
		t.Errorf("%d", code)
	}
}
