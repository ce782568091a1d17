package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/balsa-raft/balsa/server"
	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// memberStatus is what one member says of itself, or why it says nothing.
type memberStatus struct {
	Endpoint string             `json:"Endpoint"`
	Name     string             `json:"Name,omitempty"`
	Status   *pb.StatusResponse `json:"Status,omitempty"`
	// CatchingUp are the ids, in hexadecimal, of those that are to become voters, and Pending what a change of the members waits for, as this one knows.
	CatchingUp []string   `json:"CatchingUp,omitempty"`
	Pending    string     `json:"Pending,omitempty"`
	Error      string     `json:"Error,omitempty"`
	unstarted  *pb.Member // it was added, and nothing was heard of it yet
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
		if m.unstarted != nil {
			continue
		}
		wait.Add(1)
		go func() {
			defer wait.Done()
			c.askStatus(ctx, m)
		}()
	}
	wait.Wait()
	for _, m := range all {
		if m.unstarted != nil {
			m.Error = "not started, or catching up"
		}
	}
	if err := (&printer{w: a.stdout, format: c.write}).status(all); err != nil {
		return err
	}
	var down []string
	for _, m := range all {
		if m.Error != "" && m.unstarted == nil {
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
		if is(status.Convert(err).Message(), rpctypes.ErrGRPCNotSupportedForLearner) {
			return nil // it answers for itself
		}
		if err != nil {
			return err
		}
		for _, m := range r.Members {
			if m.Name == "" && len(m.ClientURLs) == 0 {
				all = append(all, &memberStatus{unstarted: m})
			}
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
	if !slices.ContainsFunc(all, func(m *memberStatus) bool { return m.unstarted == nil }) { // nobody has published yet
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
		var header metadata.MD
		r, err := pb.NewMaintenanceClient(conn).Status(ctx, &pb.StatusRequest{}, grpc.Header(&header))
		m.Status, m.CatchingUp, m.Pending = r, header.Get(server.MetadataCatchingUp), strings.Join(header.Get(server.MetadataPending), "; ")
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
			id := ""
			if m.unstarted != nil {
				id = fmt.Sprintf("%x", m.unstarted.ID)
			}
			rows = append(rows, []string{m.Endpoint, id, m.Name, "", "", "", learner(all, id, false), "", "", "", m.Error})
			continue
		}
		s := m.Status
		rows = append(rows, []string{
			m.Endpoint, m.id(), m.Name, s.Version, bytesText(s.DbSize),
			fmt.Sprint(m.leads()), learner(all, m.id(), s.IsLearner), fmt.Sprint(s.RaftTerm),
			fmt.Sprint(s.RaftIndex), fmt.Sprint(s.RaftAppliedIndex), strings.Join(s.Errors, ", "),
		})
	}
	p.rows([]string{"endpoint", "id", "name", "version", "db size", "is leader", "is learner", "raft term", "raft index", "applied", "errors"}, rows)
	if pending := pending(all); pending != "" && p.format == "table" {
		fmt.Fprintf(p.w, "A change of the members is under way. It waits: %s\n", pending)
	}
	return nil
}

func (m *memberStatus) id() string { return fmt.Sprintf("%x", m.Status.GetHeader().GetMemberId()) }
func (m *memberStatus) leads() bool {
	return m.Status.GetLeader() != 0 && m.Status.GetLeader() == m.Status.GetHeader().GetMemberId()
}

// learner says whether a member is a learner, or is one only until it has caught up, which others say of it.
func learner(all []*memberStatus, id string, isLearner bool) string {
	if slices.ContainsFunc(all, func(m *memberStatus) bool { return slices.Contains(m.CatchingUp, id) }) {
		return "catching up"
	}
	return fmt.Sprint(isLearner)
}

// pending is what a change of the members waits for: as the leader says, if there is one.
func pending(all []*memberStatus) (waits string) {
	for _, m := range all {
		if m.Pending != "" && (waits == "" || m.leads()) {
			waits = m.Pending
		}
	}
	return waits
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
