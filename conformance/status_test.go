package conformance

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
)

// eachEtcdctl runs f for each of Balsa's clusters and each version of etcdctl.
func eachEtcdctl(t *testing.T, f func(t *testing.T, c *cluster, version string)) {
	for _, c := range []*cluster{balsa(t), balsaDev(t)} {
		for _, version := range etcdctlVersions {
			t.Run(c.name+"/"+version, func(t *testing.T) { f(t, c, version) })
		}
	}
}

// mustEtcdctl runs a command that must succeed and say nothing but its answer.
func mustEtcdctl(t *testing.T, version, endpoints string, args ...string) string {
	t.Helper()
	r := etcdctl(t, version, endpoints, "", args...)
	if r.code != 0 || r.stderr != "" {
		t.Errorf("etcdctl %s %s: %s", version, strings.Join(args, " "), r)
	}
	return r.stdout
}

// TestStatus compares the form of what "endpoint status" prints with etcd's, and checks what it says.
func TestStatus(t *testing.T) {
	eachEtcdctl(t, func(t *testing.T, c *cluster, version string) {
		base := pair{etcd: etcd(t).members[0], balsa: c.members}.level(t)
		for _, format := range []string{"simple", "table", "fields"} {
			want := mustEtcdctl(t, version, etcd(t).endpoints(), "endpoint", "status", "-w", format)
			got := mustEtcdctl(t, version, c.members[1].endpoint, "endpoint", "status", "-w", format)
			if form(want) != form(got) {
				t.Errorf("-w %s: etcd\n%s\nBalsa\n%s", format, want, got)
			}
		}
		var want, got []endpointStatus
		parse(t, mustEtcdctl(t, version, etcd(t).endpoints(), "endpoint", "status", "-w", "json"), &want)
		all := mustEtcdctl(t, version, c.endpoints(), "endpoint", "status", "-w", "json")
		parse(t, all, &got)
		if len(got) != len(c.members) {
			t.Fatalf("%d members, not %d: %s", len(got), len(c.members), all)
		}
		leaders := map[any]bool{}
		for _, s := range got {
			s.check(t, want[0], base)
			leaders[s.Status["leader"]] = true
		}
		for until := time.Now().Add(patience); len(leaders) != 1; { // there may be an election
			if time.Now().After(until) {
				t.Errorf("the members do not agree on the leader: %s", all)
				break
			}
			all = mustEtcdctl(t, version, c.endpoints(), "endpoint", "status", "-w", "json")
			parse(t, all, &got)
			clear(leaders)
			for _, s := range got {
				leaders[s.Status["leader"]] = true
			}
		}
		parse(t, mustEtcdctl(t, version, c.members[1].endpoint, "endpoint", "status", "--cluster", "-w", "json"), &got)
		if len(got) != len(c.members) {
			t.Errorf("--cluster finds %d members, not %d", len(got), len(c.members))
		}
	})
}

// TestStatusWhenEmpty asks a member that holds nothing yet: etcdctl divides by its size.
func TestStatusWhenEmpty(t *testing.T) {
	port := freePorts(t, 1)
	args := append([]string{"server"}, memberFlags("alone", port, "alone="+loopback(port+1))...)
	c := connect(t, "balsa alone", []string{address(port)}, start(t, "balsa-alone", balsaProgram, args...))
	for _, version := range etcdctlVersions {
		for _, format := range []string{"simple", "table"} {
			want := mustEtcdctl(t, version, etcd(t).endpoints(), "endpoint", "status", "-w", format)
			got := mustEtcdctl(t, version, c.endpoints(), "endpoint", "status", "-w", format)
			if form(want) != form(got) {
				t.Errorf("etcdctl %s -w %s: etcd\n%s\nBalsa\n%s", version, format, want, got)
			}
		}
	}
}

// endpointStatus is an element of what "endpoint status -w json" prints.
type endpointStatus struct {
	Endpoint string
	Status   map[string]any
}

// check compares a member of Balsa's with etcd.
func (s endpointStatus) check(t *testing.T, etcd endpointStatus, revision int64) {
	t.Helper()
	// Balsa has no quota unless it is given one, and a value that is zero is not printed.
	delete(etcd.Status, "dbSizeQuota")
	delete(s.Status, "dbSizeQuota")
	want, got := slices.Sorted(maps.Keys(etcd.Status)), slices.Sorted(maps.Keys(s.Status))
	if !slices.Equal(want, got) {
		t.Errorf("%s: etcd's status has %v, Balsa's %v", s.Endpoint, want, got)
	}
	for _, same := range []string{"version", "storageVersion", "downgradeInfo"} {
		if a, b := fmt.Sprint(etcd.Status[same]), fmt.Sprint(s.Status[same]); a != b {
			t.Errorf("%s: %s is %s at etcd, %s at Balsa", s.Endpoint, same, a, b)
		}
	}
	number := func(name string) float64 {
		n, ok := s.Status[name].(float64)
		if !ok || n <= 0 {
			t.Errorf("%s: %s is %v", s.Endpoint, name, s.Status[name])
		}
		return n
	}
	if number("raftAppliedIndex") > number("raftIndex") || number("dbSizeInUse") > number("dbSize") {
		t.Errorf("%s: more is applied than there is, or more is in use: %v", s.Endpoint, s.Status)
	}
	number("leader")
	number("raftTerm")
	// The member may not have applied the last change yet, which level waits for on the leader alone.
	if h, ok := s.Status["header"].(map[string]any); !ok || h["revision"].(float64) > float64(revision) || h["raft_term"] != s.Status["raftTerm"] {
		t.Errorf("%s: header %v at revision %d, term %v", s.Endpoint, s.Status["header"], revision, s.Status["raftTerm"])
	}
}

// TestHealth runs "endpoint health" in all its forms.
func TestHealth(t *testing.T) {
	healthy := regexp.MustCompile(`^(http://)?127\.0\.0\.1:\d+ is healthy: successfully committed proposal: took = \S+$`)
	eachEtcdctl(t, func(t *testing.T, c *cluster, version string) {
		for _, args := range [][]string{{}, {"--cluster"}} {
			endpoints := c.endpoints()
			if len(args) > 0 {
				endpoints = c.members[1].endpoint
			}
			out := mustEtcdctl(t, version, endpoints, append([]string{"endpoint", "health"}, args...)...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if len(lines) != len(c.members) {
				t.Errorf("%d members, not %d: %s", len(lines), len(c.members), out)
			}
			for _, line := range lines {
				if !healthy.MatchString(line) {
					t.Errorf("unhealthy: %s", line)
				}
			}
		}
		want := mustEtcdctl(t, version, etcd(t).endpoints(), "endpoint", "health", "-w", "table")
		got := mustEtcdctl(t, version, c.members[1].endpoint, "endpoint", "health", "-w", "table")
		if form(want) != form(got) {
			t.Errorf("-w table: etcd\n%s\nBalsa\n%s", want, got)
		}
		var members []struct {
			Endpoint string
			Health   bool
		}
		parse(t, mustEtcdctl(t, version, c.endpoints(), "endpoint", "health", "-w", "json"), &members)
		for _, m := range members {
			if !m.Health {
				t.Errorf("unhealthy: %v", m)
			}
		}
	})
}

// TestMembers compares the form of what "member list" prints with etcd's, and checks what it says.
func TestMembers(t *testing.T) {
	eachEtcdctl(t, func(t *testing.T, c *cluster, version string) {
		for _, format := range []string{"simple", "table", "fields"} {
			want := mustEtcdctl(t, version, etcd(t).endpoints(), "member", "list", "-w", format)
			got := mustEtcdctl(t, version, c.members[1].endpoint, "member", "list", "-w", format)
			if form(want) != form(got) {
				t.Errorf("-w %s: etcd\n%s\nBalsa\n%s", format, want, got)
			}
		}
		var list struct {
			Header  map[string]any
			Members []struct {
				ID                   json.Number
				Name                 string
				PeerURLs, ClientURLs []string
			}
		}
		for _, m := range c.members {
			out := mustEtcdctl(t, version, m.endpoint, "member", "list", "-w", "json")
			parse(t, out, &list)
			if len(list.Members) != len(c.members) {
				t.Fatalf("%d members, not %d: %s", len(list.Members), len(c.members), out)
			}
			if _, ok := list.Header["revision"]; ok {
				t.Errorf("etcd's header has no revision here: %s", out)
			}
			for _, listed := range list.Members {
				if listed.Name == "" || len(listed.PeerURLs) != 1 || len(listed.ClientURLs) != 1 {
					t.Errorf("not all is known of a member that runs: %s", out)
				}
			}
			for _, other := range c.members {
				status, err := other.maintenance.Status(t.Context(), &pb.StatusRequest{})
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(out, fmt.Sprintf(`"ID":%d`, status.Header.MemberId)) || !strings.Contains(out, "http://"+other.endpoint) {
					t.Errorf("%s, whose id is %d, is not in %s", other.endpoint, status.Header.MemberId, out)
				}
			}
		}
	})
}

var (
	valueWords = regexp.MustCompile(`[0-9a-zA-Z.:/%]+( (k|M|G)?B)?`)
	fieldLine  = regexp.MustCompile(`^(".*") : .*$`)
)

// form keeps of an answer what does not depend on the cluster: labels and columns, each different line once.
func form(out string) string {
	kept := []string{""} // the empty lines between fields
	lines := strings.Split(out, "\n")
	for i, line := range lines {
		switch {
		case strings.HasPrefix(line, `"`): // fields
			line = fieldLine.ReplaceAllString(line, "$1")
		case strings.ContainsAny(line, "─") || strings.HasPrefix(line, "+--"):
			line = "line"
		case i == 1 && kept[1] == "line": // a table's titles
			line = strings.Join(strings.Fields(line), " ")
		default:
			line = valueWords.ReplaceAllString(strings.Join(strings.Fields(line), " "), "x")
		}
		if !slices.Contains(kept, line) {
			kept = append(kept, line)
		}
	}
	return strings.Join(kept, "\n")
}

func parse(t *testing.T, out string, to any) {
	t.Helper()
	if err := json.Unmarshal([]byte(out), to); err != nil {
		t.Fatalf("%v in %q", err, out)
	}
}
