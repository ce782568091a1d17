package server

import (
	"fmt"
	"net"
	"net/url"
	"strings"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// The bounds of what a client may record as a member's peer URLs. The address is what Raft takes.
const (
	peerURLsMax     = 16
	peerURLBytesMax = 255
)

// parsePeerURLs checks the peer URLs of a request. The first is the one at which peers reach the member.
func parsePeerURLs(in []string) ([]string, error) {
	if len(in) == 0 {
		return nil, rpctypes.ErrGRPCMemberBadURLs
	}
	if len(in) > peerURLsMax {
		return nil, badPeerURL("there are %d, at most %d", len(in), peerURLsMax)
	}
	var out []string
	for _, s := range in {
		s = strings.TrimSpace(s)
		if err := checkPeerURL(s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, nil
}

// badPeerURL is the error for a URL that etcd would take.
func badPeerURL(format string, args ...any) error {
	return status.Error(codes.InvalidArgument, rpctypes.ErrorDesc(rpctypes.ErrGRPCMemberBadURLs)+": "+fmt.Sprintf(format, args...))
}

func checkPeerURL(s string) error {
	u, err := url.Parse(s)
	if err != nil {
		return rpctypes.ErrGRPCMemberBadURLs
	}
	switch u.Scheme {
	case "http":
	case "https":
		return badPeerURL("TLS between members is not supported yet, write http://HOST:PORT")
	case "unix", "unixs":
		return badPeerURL("members speak TCP, write http://HOST:PORT")
	default:
		return rpctypes.ErrGRPCMemberBadURLs
	}
	host, port, err := net.SplitHostPort(u.Host)
	ip := net.ParseIP(host)
	switch {
	case err != nil || u.Path != "":
		return rpctypes.ErrGRPCMemberBadURLs
	case host == "" || port == "" || port == "0" || u.RawQuery != "" || u.User != nil:
		return badPeerURL("write http://HOST:PORT")
	case ip != nil && ip.IsUnspecified():
		return badPeerURL("%s is no address at which other members reach this one", host)
	case len(s) > peerURLBytesMax:
		return badPeerURL("one has %d bytes, at most %d", len(s), peerURLBytesMax)
	}
	return nil
}

// peerAddress returns the host:port of a peer URL, empty if it has none.
func peerAddress(peerURL string) string {
	u, err := url.Parse(peerURL)
	if err != nil {
		return ""
	}
	if _, _, err := net.SplitHostPort(u.Host); err != nil {
		return ""
	}
	return u.Host
}
