package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

func (a *app) membersCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "members",
		Short: "List the members of the cluster",
		Args:  argCount(0, 0, "members [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return c.call(cmd.Context(), true, func(ctx context.Context, conn *grpc.ClientConn) error {
				r, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
				if err != nil {
					return err
				}
				return (&printer{w: a.stdout, format: c.write}).members(r)
			})
		},
	}
	a.addClientFlags(cmd, c)
	cmd.Flags().Lookup("write-out").DefValue = "table"
	c.write = "table"
	return cmd
}

func (p *printer) members(r *pb.MemberListResponse) error {
	if p.format == "json" {
		return p.json(r)
	}
	var rows [][]string
	for _, m := range r.Members {
		state := "started"
		if m.Name == "" {
			state = "unstarted"
		}
		rows = append(rows, []string{fmt.Sprintf("%x", m.ID), state, m.Name, strings.Join(m.PeerURLs, ","), strings.Join(m.ClientURLs, ","), fmt.Sprint(m.IsLearner)})
	}
	p.rows([]string{"id", "status", "name", "peer addrs", "client addrs", "is learner"}, rows)
	return nil
}
