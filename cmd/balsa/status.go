package main

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// memberStatus is what one member says of itself, or why it says nothing.
type memberStatus struct {
	Endpoint string             `json:"Endpoint"`
	Name     string             `json:"Name,omitempty"`
	Status   *pb.StatusResponse `json:"Status,omitempty"`
	Error    string             `json:"Error,omitempty"`
}

func (a *app) statusCommand() *cobra.Command {
	c := &client{}
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the state of the cluster",
		Long:  "Show the state of the cluster: every member that the servers asked know of is asked for its own view.",
		Args:  argCount(0, 0, "status [flags]"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.runStatus(cmd.Context(), c)
		},
	}
	a.addClientFlags(cmd, c)
	cmd.Flags().Lookup("write-out").DefValue = "table"
	c.write = "table"
	return cmd
}

func (a *app) runStatus(ctx context.Context, c *client) error {
	all, err := c.discover(ctx)
	if err != nil {
		return err
	}
	var wait sync.WaitGroup
	for _, m := range all {
		wait.Add(1)
		go func() {
			defer wait.Done()
			c.askStatus(ctx, m)
		}()
	}
	wait.Wait()
	if err := (&printer{w: a.stdout, format: c.write}).status(all); err != nil {
		return err
	}
	var down []string
	for _, m := range all {
		if m.Error != "" {
			down = append(down, strings.TrimSpace(m.Name+" "+m.Endpoint))
		}
	}
	if len(down) > 0 {
		return fmt.Errorf("%d of %d members did not answer: %s", len(down), len(all), strings.Join(down, ", "))
	}
	return nil
}

// discover returns the members that the endpoints know of, and the endpoints themselves. It asks for what a server has,
// not for what the cluster agrees on: status is for clusters that do not.
func (c *client) discover(ctx context.Context) ([]*memberStatus, error) {
	var all []*memberStatus
	seen := map[string]bool{}
	add := func(endpoint, name string) {
		if !seen[endpoint] {
			seen[endpoint] = true
			all = append(all, &memberStatus{Endpoint: endpoint, Name: name})
		}
	}
	err := c.call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		r, err := pb.NewClusterClient(conn).MemberList(ctx, &pb.MemberListRequest{})
		if err != nil {
			return err
		}
		for _, m := range r.Members {
			for _, u := range m.ClientURLs {
				if address, err := endpointAddress(u); err == nil {
					add(address, m.Name)
					break // one URL a member
				}
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(all) == 0 { // nobody has published yet
		for _, e := range c.endpoints {
			add(e, "")
		}
	}
	sort.SliceStable(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all, nil
}

func (c *client) askStatus(ctx context.Context, m *memberStatus) {
	one := *c
	one.endpoints = []string{m.Endpoint}
	err := one.call(ctx, true, func(ctx context.Context, conn *grpc.ClientConn) error {
		r, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{})
		m.Status = r
		return err
	})
	if err != nil {
		m.Status, m.Error = nil, reason(err)
	}
}

// reason is why an endpoint did not answer, without the endpoint.
func reason(err error) string {
	var connect *connectError
	if errors.As(err, &connect) {
		return connect.err.Error()
	}
	return err.Error()
}

func (p *printer) status(all []*memberStatus) error {
	if p.format == "json" {
		return p.json(all)
	}
	var rows [][]string
	for _, m := range all {
		if m.Status == nil {
			rows = append(rows, []string{m.Endpoint, "", m.Name, "", "", "", "", "", "", m.Error})
			continue
		}
		s := m.Status
		rows = append(rows, []string{
			m.Endpoint, fmt.Sprintf("%x", s.GetHeader().GetMemberId()), m.Name, s.Version, bytesText(s.DbSize),
			fmt.Sprint(s.Leader != 0 && s.Leader == s.GetHeader().GetMemberId()), fmt.Sprint(s.RaftTerm),
			fmt.Sprint(s.RaftIndex), fmt.Sprint(s.RaftAppliedIndex), strings.Join(s.Errors, ", "),
		})
	}
	p.rows([]string{"endpoint", "id", "name", "version", "db size", "is leader", "raft term", "raft index", "applied", "errors"}, rows)
	return nil
}

// bytesText writes a size for people, in etcdctl's units.
func bytesText(n int64) string {
	const units = "kMGTPE"
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	value, unit := float64(n)/1000, 0
	for value >= 999.5 && unit < len(units)-1 {
		value /= 1000
		unit++
	}
	if value < 9.95 {
		return fmt.Sprintf("%.1f %cB", value, units[unit])
	}
	return fmt.Sprintf("%.0f %cB", value, units[unit])
}
