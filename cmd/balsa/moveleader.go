package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
)

func (a *app) moveLeaderCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "move-leader ID|NAME",
		Short: "Let another member lead",
		Long:  "Let another member lead, which must be a voter that is well. Any member can be asked; the leader is found.",
		Args:  argCount(1, 1, "move-leader ID|NAME"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.moveLeader(cmd.Context(), c, args[0])
		},
	}
	a.addClientFlags(cmd, c)
	return cmd
}

func (a *app) moveLeader(ctx context.Context, c *client, nameOrID string) error {
	all, err := c.members(ctx)
	if err != nil {
		return err
	}
	target, err := all.find(nameOrID)
	if err != nil {
		return err
	}
	for end := time.Now().Add(c.timeout); ; {
		leader, err := c.leader(ctx)
		if err != nil {
			return err
		}
		if leader == target.ID {
			fmt.Fprintf(a.stdout, "Member %s leads.\n", memberText(target))
			return nil
		}
		err = c.at(all, leader).call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
			_, err := pb.NewMaintenanceClient(conn).MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: target.ID})
			return err
		})
		var failure *callFailure
		switch {
		case err == nil:
		case errors.As(err, &failure) && is(failure.message, rpctypes.ErrGRPCNotLeader) && time.Now().Before(end): // another one leads meanwhile
		case errors.As(err, &failure) && is(failure.message, rpctypes.ErrGRPCBadLeaderTransferee):
			return fmt.Errorf("member %s cannot lead: it is a learner, or has not caught up yet", memberText(target))
		default:
			return err
		}
	}
}

// leader asks who leads.
func (c *client) leader(ctx context.Context) (id uint64, err error) {
	err = c.call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		s, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		if err == nil && s.Leader == 0 {
			return rpctypes.ErrGRPCNoLeader
		}
		id = s.GetLeader()
		return err
	})
	return id, err
}

// at is a client of one member.
func (c *client) at(all roster, id uint64) *client {
	one := *c
	one.endpoints = nil
	for _, m := range all.members {
		if m.ID != id {
			continue
		}
		for _, u := range m.ClientURLs {
			if address, err := endpointAddress(u); err == nil {
				one.endpoints = append(one.endpoints, address)
			}
		}
		one.hint = "member " + memberText(m) + " leads, and is told of only at its client URLs"
	}
	return &one
}
