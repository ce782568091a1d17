package server

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/balsa-raft/balsa"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// What etcd's messages have no field for travels as metadata of the calls, which clients of etcd neither send nor look at.
const (
	// MetadataForce, with the value "true" in a call that changes members, makes the change although a majority of the voters that there are then is
	// not heard from, or has not started. It does not help a cluster that has no majority now.
	MetadataForce = "balsa-force"
	// MetadataReplaces, in MemberAdd, is the id, in hexadecimal, of a member that is removed in the same change.
	MetadataReplaces = "balsa-replaces"
	// MetadataCatchingUp, in the headers of MemberList and Status, is the id, in hexadecimal, of a member that becomes a voter as soon as it has caught
	// up; once for each.
	MetadataCatchingUp = "balsa-catching-up"
	// MetadataVersion, in the headers of MemberList and Status, is Config.Version; it is there if the server is Balsa, and no etcd.
	MetadataVersion = "balsa-version"
	// MetadataPending, in the headers of MemberList and Status, says what a change of the members that is under way waits for.
	MetadataPending = "balsa-pending"
	// MetadataReason, in the trailer of a call that changes members and was refused, says more than etcd's error.
	MetadataReason = "balsa-reason"
)

// forced reports whether the client wants a change of members at any rate.
func forced(ctx context.Context) bool {
	wanted := metadata.ValueFromIncomingContext(ctx, MetadataForce)
	return len(wanted) > 0 && wanted[0] == "true"
}

// replaced returns the member that is to be removed by MemberAdd, zero for none.
func replaced(ctx context.Context) (uint64, error) {
	wanted := metadata.ValueFromIncomingContext(ctx, MetadataReplaces)
	if len(wanted) == 0 {
		return 0, nil
	}
	id, err := strconv.ParseUint(wanted[0], 16, 64)
	if err != nil || id == 0 {
		return 0, status.Errorf(codes.InvalidArgument, "balsa: %s is %q: it must be a member's id in hexadecimal", MetadataReplaces, wanted[0])
	}
	return id, nil
}

// tellChange tells the client that this is Balsa, and of a change of the members that is under way.
func (s *member) tellChange(ctx context.Context) {
	st := s.node.Status()
	md := metadata.Pairs(MetadataVersion, strings.Map(printable, s.config.Version))
	for _, m := range st.Members {
		if m.Promoting {
			md.Append(MetadataCatchingUp, hexID(uint64(m.ID)))
		}
	}
	if st.MembersPending != "" {
		md.Set(MetadataPending, s.named(st.MembersPending))
	}
	grpc.SetHeader(ctx, md) // it fails outside of a call only
}

// tellReason tells the client more of an error than its text, which is etcd's, can say.
func (s *member) tellReason(ctx context.Context, reason string) {
	grpc.SetTrailer(ctx, metadata.Pairs(MetadataReason, s.named(reason)))
}

var coreName = regexp.MustCompile(`\bn\d+\b`)

// named writes the members in a text of the core's as clients know them: by name, or by id if they have none.
func (s *member) named(text string) string {
	names := map[uint64]string{}
	for _, a := range s.store.Members() {
		names[a.ID] = a.Name
	}
	return strings.Map(printable, coreName.ReplaceAllStringFunc(text, func(word string) string {
		id, err := strconv.ParseUint(word[1:], 10, 64)
		switch {
		case err != nil:
			return word
		case names[id] != "":
			return names[id] + " (" + hexID(id) + ")"
		}
		return hexID(id)
	}))
}

// printable replaces what metadata cannot carry.
func printable(r rune) rune {
	if r < ' ' || r > '~' {
		return '?'
	}
	return r
}

// names lists members for people.
func (r roster) names(which func(m balsa.Member) bool) string {
	var all []string
	for _, m := range r.want {
		if which(m) {
			all = append(all, "n"+strconv.FormatUint(uint64(m.ID), 10))
		}
	}
	return strings.Join(all, ", ")
}
