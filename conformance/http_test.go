package conformance

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// TestHTTP compares the pages that probes and clients ask for.
func TestHTTP(t *testing.T) {
	for _, c := range []*cluster{balsa(t), balsaDev(t)} {
		for _, path := range []string{"/health", "/health?serializable=true", "/livez", "/readyz", "/livez?verbose", "/readyz?verbose", "/nothing-here"} {
			want := fetch(t, etcd(t).members[0].endpoint, path)
			for i, m := range c.members {
				if got := fetch(t, m.endpoint, path); got != want {
					t.Errorf("%s %s %s: etcd answers %v, Balsa %v", c.name, role(i), path, want, got)
				}
			}
		}
	}
	t.Run("version", func(t *testing.T) {
		var want, got map[string]string
		parse(t, fetch(t, etcd(t).members[0].endpoint, "/version").body, &want)
		parse(t, fetch(t, balsa(t).members[0].endpoint, "/version").body, &got)
		for name, version := range want { // Balsa may say more
			if got[name] != version {
				t.Errorf("%s is %q at etcd, %q at Balsa", name, version, got[name])
			}
		}
	})
}

type page struct {
	status int
	body   string
}

func fetch(t *testing.T, endpoint, path string) page {
	t.Helper()
	r, err := http.Get("http://" + endpoint + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(body), "\n")
	slices.Sort(lines) // etcd writes some in the order of a map
	return page{r.StatusCode, strings.Join(lines, "")}
}
