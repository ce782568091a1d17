package server

import (
	"context"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// goroutines returns the stacks of those that members and their servers have started.
func goroutines() (stacks []string) {
	buf := make([]byte, 4<<20)
	for _, stack := range strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
		for _, of := range []string{"balsa/host.", "balsa/transport.", "balsa/server.(*Server)", "balsa/server.(*sniffer)", "balsa/server.(*member)", "grpc.(*Server)", "http.(*Server)"} {
			if strings.Contains(stack, of) {
				stacks = append(stacks, stack)
				break
			}
		}
	}
	return stacks
}

// TestCloseUnderLoad: calls of all kinds that are under way end when their member closes, with an outcome or an error that clients take for a
// broken connection, and no goroutine is left: of a member alone, and of three. It is not parallel, so it counts its own goroutines alone.
func TestCloseUnderLoad(t *testing.T) {
	for _, members := range []int{1, 3} {
		first := startFounder(t, func(c *Config) {
			c.Pprof, c.ElectionTimeout, c.HeartbeatInterval = true, 300*time.Millisecond, 30*time.Millisecond
		})
		servers := []*testServer{first}
		for len(servers) < members {
			servers = append(servers, first.join(t, false))
		}
		var callers sync.WaitGroup
		var stop atomic.Bool
		var calls atomic.Int64
		call := func(n int, what string, do func(ctx context.Context) error) {
			for range n {
				callers.Go(func() {
					for !stop.Load() {
						ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
						err := do(ctx)
						cancel()
						calls.Add(1)
						switch status.Code(err) {
						case codes.OK:
						case codes.Unavailable, codes.Canceled: // closed: clients try another member
							time.Sleep(time.Millisecond)
						case codes.FailedPrecondition, codes.NotFound, codes.Aborted: // of handing over: it does not lead, there is nobody else, or another one took over
							time.Sleep(time.Millisecond)
						default:
							t.Errorf("%s: %v", what, err)
							return
						}
					}
				})
			}
		}
		for i, s := range servers {
			kv, cluster, maintenance := pb.NewKVClient(s.conn), pb.NewClusterClient(s.conn), pb.NewMaintenanceClient(s.conn)
			key := []byte(fmt.Sprint(i))
			call(8, "put", func(ctx context.Context) error {
				_, err := kv.Put(ctx, &pb.PutRequest{Key: key, Value: make([]byte, 1000)})
				return err
			})
			call(8, "get", func(ctx context.Context) error { _, err := kv.Range(ctx, &pb.RangeRequest{Key: key}); return err })
			call(2, "member list", func(ctx context.Context) error {
				_, err := cluster.MemberList(ctx, &pb.MemberListRequest{Linearizable: true})
				return err
			})
			call(1, "status", func(ctx context.Context) error { _, err := maintenance.Status(ctx, &pb.StatusRequest{}); return err })
			call(1, "move leader", func(ctx context.Context) error {
				_, err := maintenance.MoveLeader(ctx, &pb.MoveLeaderRequest{TargetID: servers[(i+1)%members].config.ID})
				return err
			}) // refused where there is nobody else
			callers.Go(func() {
				client := http.Client{Timeout: time.Minute, Transport: &http.Transport{}}
				defer client.CloseIdleConnections()
				for !stop.Load() {
					r, err := client.Get("http://" + s.address() + "/health")
					if err == nil {
						r.Body.Close()
					}
					time.Sleep(time.Millisecond)
				}
			})
		}
		eventually(t, "load", func() bool { return calls.Load() > int64(200*members) })

		var closing sync.WaitGroup
		begun := time.Now()
		for _, s := range servers {
			closing.Go(func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		closing.Wait()
		stop.Store(true)
		callers.Wait()
		// A second for calls, three election timeouts for the lead, as much for proposals, and as much for a machine that is busy.
		if took := time.Since(begun); took > 8*time.Second {
			t.Errorf("%d members: Close and the last call took %v", members, took)
		}
		for _, s := range servers {
			s.conn.Close()
		}
		left := goroutines()
		for end := time.Now().Add(patience); len(left) > 0 && time.Now().Before(end); left = goroutines() {
			time.Sleep(5 * time.Millisecond) // those that have done their work, and are about to return
		}
		if len(left) > 0 {
			t.Errorf("%d members: %d goroutines are left: %s", members, len(left), strings.Join(left, "\n\n"))
		}
	}
}
