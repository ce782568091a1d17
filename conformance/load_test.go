package conformance

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	clientv3 "go.etcd.io/etcd/client/v3"
)

const (
	loadConns = 8
	loadTime  = time.Second
	loadKeys  = 10000
)

// TestLoad has official clients send requests as fast as they are answered, one and many at a time. None may fail.
func TestLoad(t *testing.T) {
	c := balsa(t)
	var clients []*clientv3.Client
	for range loadConns {
		client, err := clientv3.New(clientv3.Config{Endpoints: strings.Split(c.endpoints(), ","), DialTimeout: patience})
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		clients = append(clients, client)
	}
	value := strings.Repeat("x", 256)
	key := func() string { return fmt.Sprintf("/load/%06d", rand.IntN(loadKeys)) }
	put := func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Put(ctx, key(), value)
		return err
	}
	get := func(ctx context.Context, c *clientv3.Client) error {
		_, err := c.Get(ctx, key())
		return err
	}
	for _, op := range []struct {
		name string
		do   func(context.Context, *clientv3.Client) error
	}{
		{"put", put},
		{"get", get},
		{"txn", func(ctx context.Context, c *clientv3.Client) error {
			k := key()
			_, err := c.Txn(ctx).If(clientv3.Compare(clientv3.Version(k), ">", -1)).Then(clientv3.OpPut(k, value), clientv3.OpGet(k)).Commit()
			return err
		}},
		{"mixed", func(ctx context.Context, c *clientv3.Client) error {
			if rand.IntN(10) == 0 {
				return put(ctx, c)
			}
			return get(ctx, c)
		}},
	} {
		for _, callers := range []int{1, 64, 256} {
			t.Run(fmt.Sprintf("%s/%d", op.name, callers), func(t *testing.T) {
				for tries := 1; ; tries++ {
					term := c.term(t)
					failed := load(t, clients, callers, op.do)
					if failed == "" {
						return
					}
					if c.term(t) == term || tries == 5 {
						t.Fatal(failed)
					}
					say("load: again, there was an election: the machine stood still; %s", failed)
				}
			})
		}
	}
}

// term is the latest that a member knows.
func (c *cluster) term(t *testing.T) (term uint64) {
	t.Helper()
	for _, m := range c.members {
		s, err := m.maintenance.Status(t.Context(), &pb.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		term = max(term, s.RaftTerm)
	}
	return term
}

// load says in one line which requests failed, if any did.
func load(t *testing.T, clients []*clientv3.Client, callers int, do func(context.Context, *clientv3.Client) error) (said string) {
	var done, failed atomic.Int64
	var first atomic.Value
	var all sync.WaitGroup
	began := time.Now()
	for i := range callers {
		all.Go(func() {
			for time.Since(began) < loadTime {
				ctx, cancel := context.WithTimeout(t.Context(), patience)
				err := do(ctx, clients[i%len(clients)])
				cancel()
				if err != nil {
					failed.Add(1)
					first.CompareAndSwap(nil, err)
					continue
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	if n := failed.Load(); n > 0 {
		said = fmt.Sprintf("%d requests failed, %d did not; the first failure: %v", n, done.Load(), first.Load())
	}
	say("load: %-14s %6.0f requests a second, %d failed", strings.TrimPrefix(t.Name(), "TestLoad/"), float64(done.Load())/time.Since(began).Seconds(), failed.Load())
	return said
}
