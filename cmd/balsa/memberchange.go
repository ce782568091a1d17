package main

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// changeTimeout is how long a change of members may take by default. A leader that is removed hands over first.
const changeTimeout = 15 * time.Second

// memberChange is what the commands that change members share.
type memberChange struct {
	client
	force bool
}

// changeCommand makes a command that changes members.
func (a *app) changeCommand(usage, short, long string, args int, run func(ctx context.Context, c *memberChange, args []string) error) *cobra.Command {
	c := &memberChange{}
	cmd := &cobra.Command{
		Use: usage, Short: short, Long: long, Args: argCount(args, args, "members "+usage),
		RunE: func(cmd *cobra.Command, args []string) error { return run(cmd.Context(), c, args) },
	}
	a.addClientFlags(cmd, &c.client)
	c.timeout = changeTimeout
	cmd.Flags().Lookup("command-timeout").DefValue = changeTimeout.String()
	cmd.Flags().BoolVar(&c.force, "force", false, "make the change although too few voters would be left that are heard from, or have started")
	return cmd
}

// do makes one call that changes members. It may say more than etcd's messages can, in metadata.
func (c *memberChange) do(ctx context.Context, call func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) error, more ...string) error {
	if c.force {
		more = append(more, server.MetadataForce, "true")
	}
	return c.call(metadata.AppendToOutgoingContext(ctx, more...), false, func(ctx context.Context, conn *grpc.ClientConn) error {
		var trailer metadata.MD
		err := call(ctx, pb.NewClusterClient(conn), grpc.Trailer(&trailer))
		if err == nil {
			return nil
		}
		return &changeError{status.Convert(err), strings.Join(trailer.Get(server.MetadataReason), "; ")}
	})
}

// changeError is why members were not changed, or perhaps not.
type changeError struct {
	status *status.Status
	reason string // more than the status says, or nothing
}

func (e *changeError) Error() string { return e.status.Message() }

// GRPCStatus is what package status looks for.
func (e *changeError) GRPCStatus() *status.Status { return e.status }

// text says what was refused, why, and what to do.
func (e *changeError) text(message string, unknown bool) string {
	why := func(otherwise string) string {
		if e.reason == "" {
			return otherwise
		}
		return e.reason
	}
	switch {
	case unknown:
		return message + `: the change may or may not be made; look with "balsa members" before you try again`
	case is(message, rpctypes.ErrGRPCUnhealthy):
		return "the members are not changed: " + why("the voters that are heard from would be no majority") +
			`. Start those members, or remove first the ones that are lost for good ("balsa status" shows which answer). With --force it is done all the same, and nothing can be written until there is a majority`
	case is(message, rpctypes.ErrGRPCMemberNotEnoughStarted):
		if e.reason != "" && !strings.Contains(e.reason, "not started") {
			return "the members are not changed: " + e.reason
		}
		return "the members are not changed: " + why("too few of the voters would have started") +
			`. Start those first, or remove them with "balsa members remove"; with --force it is done all the same`
	case is(message, rpctypes.ErrGRPCLearnerNotReady):
		return "the learner has not caught up yet" + strings.TrimSuffix(" ("+e.reason+")", " ()") + `: try again later; "balsa status" shows how far it is`
	case is(message, rpctypes.ErrGRPCPeerURLExist):
		return `a member is reached at that URL already: "balsa members" shows which; if its data folder was lost, "balsa members replace" puts a new one in its place`
	case is(message, rpctypes.ErrGRPCTooManyLearners):
		return "there are as many learners as there may be: promote or remove one first, or start the servers with a larger --max-learners"
	case is(message, rpctypes.ErrGRPCMemberNotLearner):
		return "this member is a voter already, or becomes one by itself as soon as it has caught up"
	}
	return message + strings.TrimSuffix(": "+e.reason, ": ")
}

// roster is the members of a cluster, with what a command needs of them.
type roster struct {
	cluster uint64
	members []*pb.Member
	isBalsa bool // and not etcd
}

// members asks for the members that there are.
func (c *client) members(ctx context.Context) (r roster, err error) {
	err = c.call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		var header metadata.MD
		response, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true}, grpc.Header(&header))
		r = roster{response.GetHeader().GetClusterId(), response.GetMembers(), len(header.Get(server.MetadataVersion)) > 0}
		return err
	})
	return r, err
}

// find returns the member of the cluster of that name, id or peer URL.
func (c *client) find(ctx context.Context, nameOrID string) (*pb.Member, error) {
	r, err := c.members(ctx)
	if err != nil {
		return nil, err
	}
	return r.find(nameOrID)
}

// find returns the member of that name, id or peer URL.
func (r roster) find(nameOrID string) (*pb.Member, error) {
	var found []*pb.Member
	var known []string
	id, idErr := strconv.ParseUint(strings.TrimPrefix(nameOrID, "0x"), 16, 64)
	for _, m := range r.members {
		if idErr == nil && m.ID == id {
			return m, nil
		}
		if nameOrID != "" && m.Name == nameOrID || slices.Contains(m.PeerURLs, nameOrID) {
			found = append(found, m)
		}
		known = append(known, memberText(m))
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return nil, inputError("%d members have the name %q: give the id of one of %s", len(found), nameOrID, strings.Join(known, ", "))
	}
	return nil, inputError("there is no member %q; there are %s", nameOrID, strings.Join(known, ", "))
}

// at returns the member that is reached at one of the URLs, nil if there is none.
func (r roster) at(peerURLs []string) *pb.Member {
	for _, m := range r.members {
		if slices.ContainsFunc(m.PeerURLs, func(u string) bool { return slices.Contains(peerURLs, u) }) {
			return m
		}
	}
	return nil
}

// clientURLs are those of all members but id.
func (r roster) clientURLs(but uint64) (urls []string) {
	for _, m := range r.members {
		if m.ID != but && len(m.ClientURLs) > 0 {
			urls = append(urls, m.ClientURLs[0])
		}
	}
	return urls
}

func memberText(m *pb.Member) string {
	if m.Name == "" {
		return fmt.Sprintf("%x (not started)", m.ID)
	}
	return fmt.Sprintf("%s (%x)", m.Name, m.ID)
}

// peerURLsOf parses the argument PEER-URL: one, or several with commas between.
func peerURLsOf(arg string) ([]string, error) {
	urls, err := parseURLs(arg)
	if err != nil {
		return nil, inputError("PEER-URL %w", err)
	}
	return urls, nil
}

func (a *app) memberAddCommand() *cobra.Command {
	var learner bool
	cmd := a.changeCommand("add PEER-URL", "Make a new server a member",
		`Make a new server a member, and say how to start it. It catches up first, and becomes a voter by itself.
"balsa server --join" does both in one step, on the new machine.`, 1, func(ctx context.Context, c *memberChange, args []string) error {
			urls, err := peerURLsOf(args[0])
			if err != nil {
				return err
			}
			var r *pb.MemberAddResponse
			err = c.do(ctx, func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (err error) {
				r, err = cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls, IsLearner: learner}, reason)
				return err
			})
			if err != nil {
				return err
			}
			if c.write == "json" {
				return (&printer{w: a.stdout}).json(r)
			}
			becomes := "It becomes a voter by itself, as soon as it has caught up."
			if learner {
				becomes = fmt.Sprintf("It stays a learner until you promote it: %s members promote %x", a.call, r.Member.ID)
			}
			fmt.Fprintf(a.stdout, "Member %x is added to cluster %x. %s\n", r.Member.ID, r.Header.ClusterId, becomes)
			a.printStart(urls, roster{members: r.Members}.clientURLs(r.Member.ID))
			return nil
		})
	cmd.Flags().BoolVar(&learner, "learner", false, "leave it a learner until it is promoted: it receives everything, and does not vote")
	return cmd
}

// printStart says how to start the server that was added.
func (a *app) printStart(peerURLs, endpoints []string) {
	fmt.Fprintf(a.stdout, "Start it on its machine, with an empty data folder:\n\n  %s server --name NAME --data-dir DIR --join %s \\\n    --listen-peer-urls %s --listen-client-urls http://HOST:2379\n\n",
		a.call, strings.Join(endpoints, ","), peerURLs[0])
}

func (a *app) memberRemoveCommand() *cobra.Command {
	return a.changeCommand("remove ID|NAME", "Remove a member",
		`Remove a member. Its server stops by itself, and its data folder is of no use any more. It can come back only as a new member.`,
		1, func(ctx context.Context, c *memberChange, args []string) error {
			m, err := c.find(ctx, args[0])
			if err != nil {
				return err
			}
			done := fmt.Sprintf("Member %s is removed.", memberText(m))
			if m.Name != "" {
				done += " Its server stops by itself; delete its data folder."
			}
			return a.changed(ctx, c, done,
				func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (any, error) {
					return cluster.MemberRemove(ctx, &pb.MemberRemoveRequest{ID: m.ID}, reason)
				})
		})
}

// changed makes a call that changes a member, and says so.
func (a *app) changed(ctx context.Context, c *memberChange, done string, call func(context.Context, pb.ClusterClient, grpc.CallOption) (any, error)) error {
	var response any
	err := c.do(ctx, func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (err error) {
		response, err = call(ctx, cluster, reason)
		return err
	})
	if err != nil {
		return err
	}
	if c.write == "json" {
		return (&printer{w: a.stdout}).json(response)
	}
	fmt.Fprintln(a.stdout, done)
	return nil
}

func (a *app) memberPromoteCommand() *cobra.Command {
	return a.changeCommand("promote ID|NAME", "Make a voter of a learner",
		"Make a voter of a learner that has caught up.", 1, func(ctx context.Context, c *memberChange, args []string) error {
			m, err := c.find(ctx, args[0])
			if err != nil {
				return err
			}
			return a.changed(ctx, c, fmt.Sprintf("Member %s is a voter.", memberText(m)),
				func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (any, error) {
					return cluster.MemberPromote(ctx, &pb.MemberPromoteRequest{ID: m.ID}, reason)
				})
		})
}

func (a *app) memberUpdateCommand() *cobra.Command {
	return a.changeCommand("update ID|NAME PEER-URL", "Tell where a member is reached",
		`Tell the others where a member is reached from now on. Then start it there: with the same data folder it is the same member.`,
		2, func(ctx context.Context, c *memberChange, args []string) error {
			urls, err := peerURLsOf(args[1])
			if err != nil {
				return err
			}
			m, err := c.find(ctx, args[0])
			if err != nil {
				return err
			}
			return a.changed(ctx, c, fmt.Sprintf("Member %s is reached at %s.", memberText(m), strings.Join(urls, ",")),
				func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (any, error) {
					return cluster.MemberUpdate(ctx, &pb.MemberUpdateRequest{ID: m.ID, PeerURLs: urls}, reason)
				})
		})
}

func (a *app) memberReplaceCommand() *cobra.Command {
	return a.changeCommand("replace ID|NAME PEER-URL", "Put a new member in the place of one that is lost",
		`Put a new member in the place of one whose data folder is lost, in one step, and say how to start it. PEER-URL is where the new one is
reached, which may be where the old one was. The new one catches up first, and becomes a voter by itself.`,
		2, func(ctx context.Context, c *memberChange, args []string) error {
			urls, err := peerURLsOf(args[1])
			if err != nil {
				return err
			}
			old, err := c.find(ctx, args[0])
			if err != nil {
				return err
			}
			var added *pb.MemberAddResponse
			err = c.do(ctx, func(ctx context.Context, cluster pb.ClusterClient, reason grpc.CallOption) (err error) {
				added, err = cluster.MemberAdd(ctx, &pb.MemberAddRequest{PeerURLs: urls, IsLearner: old.IsLearner}, reason)
				return err
			}, server.MetadataReplaces, strconv.FormatUint(old.ID, 16))
			if err != nil {
				return err
			}
			if c.write == "json" {
				return (&printer{w: a.stdout}).json(added)
			}
			fmt.Fprintf(a.stdout, "Member %x takes the place of %s in cluster %x.\n", added.Member.ID, memberText(old), added.Header.ClusterId)
			a.printStart(urls, roster{members: added.Members}.clientURLs(added.Member.ID))
			return nil
		})
}
