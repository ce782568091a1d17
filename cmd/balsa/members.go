package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
)

func (a *app) membersCommand() *cobra.Command {
	cmd := a.memberListCommand("members", "List the members of the cluster, or change them")
	cmd.Aliases = []string{"member"}
	cmd.Args = noSuchCommand
	cmd.Long = "List the members of the cluster. Its commands change them; any member can be asked."
	cmd.AddCommand(a.memberListCommand("list", "List the members of the cluster"), a.memberAddCommand(), a.memberRemoveCommand(),
		a.memberReplaceCommand(), a.memberPromoteCommand(), a.memberUpdateCommand())
	return cmd
}

func (a *app) memberListCommand(use, short string) *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use: use, Short: short, Args: argCount(0, 0, "members list [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error { return a.listMembers(cmd.Context(), c) },
	}
	a.addClientFlags(cmd, c)
	cmd.Flags().Lookup("write-out").DefValue = "table"
	c.write = "table"
	return cmd
}

// memberList is the members, and what etcd's answer does not say.
type memberList struct {
	*pb.MemberListResponse
	Leader     uint64   `json:"leader,omitempty"`
	CatchingUp []string `json:"catching_up,omitempty"` // ids of those that are to become voters, in hexadecimal
	Pending    string   `json:"pending,omitempty"`     // what a change of the members that is under way waits for
}

func (a *app) listMembers(ctx context.Context, c *client) error {
	list, err := c.memberList(ctx, true)
	if err != nil {
		return err
	}
	if list.Pending != "" { // the leader knows better
		all := roster{members: list.Members}
		if at, err := c.at(all, list.Leader).memberList(ctx, false); err == nil {
			list.Pending = at.Pending
		}
	}
	return (&printer{w: a.stdout, format: c.write}).members(list)
}

// memberList asks one server for the members, and for the leader.
func (c *client) memberList(ctx context.Context, linearizable bool) (list memberList, err error) {
	err = c.call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		var header metadata.MD
		r, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: linearizable}, grpc.Header(&header))
		if err != nil {
			return err
		}
		list = memberList{MemberListResponse: r, CatchingUp: header.Get(server.MetadataCatchingUp), Pending: strings.Join(header.Get(server.MetadataPending), "; ")}
		if s, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{}); err == nil {
			list.Leader = s.Leader
		}
		return nil
	})
	return list, err
}

// role is what part a member has.
func (l memberList) role(m *pb.Member) string {
	switch {
	case slices.Contains(l.CatchingUp, fmt.Sprintf("%x", m.ID)):
		return "catching up"
	case m.IsLearner:
		return "learner"
	case m.ID == l.Leader:
		return "leader"
	}
	return "voter"
}

func (p *printer) members(l memberList) error {
	if p.format == "json" {
		return p.json(l)
	}
	var rows [][]string
	for _, m := range l.Members {
		state := "started"
		if m.Name == "" {
			state = "unstarted"
		}
		rows = append(rows, []string{fmt.Sprintf("%x", m.ID), state, m.Name, strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), fmt.Sprint(m.IsLearner), l.role(m)})
	}
	p.rows([]string{"id", "status", "name", "peer addrs", "client addrs", "is learner", "role"}, rows)
	if l.Pending != "" && p.format == "table" {
		fmt.Fprintf(p.w, "A change is under way. It waits: %s\n", l.Pending)
	}
	return nil
}
