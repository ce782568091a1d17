package main

import (
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/server"
)

// parseURLs parses a comma-separated list of URLs of the form http://host:port.
func parseURLs(value string) ([]string, error) {
	var out []string
	for _, s := range strings.Split(value, ",") {
		s = strings.TrimSpace(s)
		if err := checkURL(s); err != nil {
			return nil, err
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out, nil
}

func checkURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return fmt.Errorf("contains %q, which is no URL: write http://HOST:PORT", s)
	}
	switch {
	case u.Scheme == "https":
		return fmt.Errorf("contains %q: TLS is not supported yet, write http://HOST:PORT", s)
	case u.Scheme != "http":
		return fmt.Errorf("contains %q: write http://HOST:PORT", s)
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.User != nil:
		return fmt.Errorf("contains %q with more than a host and a port: write http://HOST:PORT", s)
	}
	if _, port, err := net.SplitHostPort(u.Host); err != nil || port == "" {
		return fmt.Errorf("contains %q without a port: write http://HOST:PORT", s)
	}
	return nil
}

// addresses returns the host:port of each URL.
func addresses(urls []string) []string {
	var out []string
	for _, s := range urls {
		u, _ := url.Parse(s) // parsed before
		out = append(out, u.Host)
	}
	return out
}

// parseCluster parses etcd's --initial-cluster: NAME=URL pairs with commas between; a name with several URLs
// appears several times. It returns the members in the order of their names.
func parseCluster(value, token string) ([]server.Member, error) {
	urls := map[string][]string{}
	seen := map[string]string{}
	for _, pair := range strings.Split(value, ",") {
		name, peerURL, ok := strings.Cut(strings.TrimSpace(pair), "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("contains %q: write NAME=http://HOST:PORT, with commas between", pair)
		}
		if err := checkURL(peerURL); err != nil {
			return nil, err
		}
		if other, ok := seen[peerURL]; ok {
			return nil, fmt.Errorf("gives %s to %s and to %s: each member needs a URL of its own", peerURL, other, name)
		}
		seen[peerURL] = name
		urls[name] = append(urls[name], peerURL)
	}
	var members []server.Member
	for name, us := range urls {
		members = append(members, server.Member{ID: server.MemberID(us, token), Name: name, PeerURLs: us})
	}
	slices.SortFunc(members, func(a, b server.Member) int { return strings.Compare(a.Name, b.Name) })
	return members, nil
}
