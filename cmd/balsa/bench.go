package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

const (
	benchClientsMax     = 10_000
	benchConnectionsMax = 1_000
	benchKeysMax        = 100_000_000
	benchValueMax       = 64 << 20 // servers refuse less; that is an error that can be measured
)

// bench is what "balsa bench" is asked to do.
type bench struct {
	client      *client
	workload    string
	clients     int
	connections int
	keys        int
	valueSize   int
	duration    time.Duration // zero: no limit
	total       int64         // zero: no limit
	rate        float64       // requests a second; zero: as fast as answers come
	reads       float64       // the share of gets in mixed
	consistency string
	prefix      string
	trace       bool
}

// benchWorkloads are what each workload consists of.
var benchWorkloads = map[string][]string{"put": {"put"}, "get": {"get"}, "mixed": {"put", "get"}, "txn": {"txn"}}

const benchUsage = "bench [flags] put|get|mixed|txn"

func (a *app) benchCommand() *cobra.Command {
	b := &bench{client: &client{}}
	cmd := &cobra.Command{
		Use:   benchUsage,
		Short: "Measure a running cluster",
		Long: `Measure a running cluster, of Balsa or of etcd, through the etcd API.

  put    write a key
  get    read a key
  mixed  puts and gets, see --reads
  txn    compare a key's version, write the key and read it, in one transaction

Each client sends a request, waits for the answer and sends the next. The keys are chosen at random of --keys, and stay in the cluster afterwards;
get and mixed write all of them first, if they are not there; "balsa del --prefix balsa-bench/" removes them. Connections are dealt to the --endpoints in turn: name all servers to use all.
Ctrl-C ends it and prints what was measured. With --rate, a latency is counted from when the request was due, so that
requests that had to wait for slow ones before them are seen.

--trace measures no running cluster, but where the time of one write goes: it starts three members in this process, in a temporary folder (TMPDIR chooses the
disk), and prints how long each step takes, from the caller's Propose to its answer. Of the flags only --clients, --duration and --value-size are for it.`,
		Example: `  balsa bench put
  balsa bench get --consistency s --clients 256 --endpoints 10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379
  balsa bench mixed --reads 0.9 --rate 2000 --duration 1m
  balsa bench txn --total 100000 --write-out json
  balsa bench --trace
  balsa bench --trace --clients 64`,
		Args: argCount(0, 1, benchUsage),
		RunE: func(cmd *cobra.Command, args []string) error {
			b.workload = "put"
			if len(args) == 1 {
				b.workload = args[0]
			}
			if b.trace {
				b.traceDefaults(cmd.Flags().Changed)
			}
			if b.total > 0 && !cmd.Flags().Changed("duration") {
				b.duration = 0
			}
			if err := b.check(); err != nil {
				return err
			}
			if b.trace {
				return a.runTrace(cmd.Context(), b)
			}
			return a.runBench(cmd.Context(), b)
		},
	}
	b.register(cmd.Flags())
	a.addClientFlags(cmd, b.client)
	cmd.Flags().Lookup("endpoints").Usage = "servers to measure, all must be there"
	return cmd
}

func (b *bench) register(fs *pflag.FlagSet) {
	fs.IntVar(&b.clients, "clients", 64, "how many requests are under way at once")
	fs.IntVar(&b.connections, "connections", 8, "how many connections they share, at most one a client")
	fs.IntVar(&b.keys, "keys", 10_000, "how many keys there are")
	fs.IntVar(&b.valueSize, "value-size", 256, "bytes of a value")
	fs.DurationVar(&b.duration, "duration", 10*time.Second, "how long to measure; without end if --total is given")
	fs.Int64Var(&b.total, "total", 0, "end after so many requests")
	fs.Float64Var(&b.rate, "rate", 0, "at most so many requests a second (default: no limit)")
	fs.Float64Var(&b.reads, "reads", 0.9, "the share of gets in mixed, from 0 to 1")
	fs.StringVar(&b.consistency, "consistency", "l", "of gets. l: linearizable, sees every write that was acknowledged; s: serializable, what the server asked has")
	fs.StringVar(&b.prefix, "prefix", "balsa-bench/", "what the keys begin with")
	fs.BoolVar(&b.trace, "trace", false, "where the time of one write goes, step by step, in a cluster of its own (--clients 1 --duration 5s --value-size 128)")
}

func (b *bench) check() error {
	switch {
	case benchWorkloads[b.workload] == nil:
		return inputError("there is no workload %q: choose put, get, mixed or txn", b.workload)
	case b.clients < 1 || b.clients > benchClientsMax:
		return inputError("--clients %d is not within 1..%d", b.clients, benchClientsMax)
	case b.connections < 1 || b.connections > benchConnectionsMax:
		return inputError("--connections %d is not within 1..%d", b.connections, benchConnectionsMax)
	case b.keys < 1 || b.keys > benchKeysMax:
		return inputError("--keys %d is not within 1..%d", b.keys, benchKeysMax)
	case b.valueSize < 0 || b.valueSize > benchValueMax:
		return inputError("--value-size %d is not within 0..%d", b.valueSize, benchValueMax)
	case b.duration < 0 || b.total < 0 || b.duration == 0 && b.total == 0:
		return inputError("--duration or --total must be more than 0")
	case !(b.rate >= 0 && b.rate <= 1e9): // NaN too
		return inputError("--rate %v is not within 0..1e9", b.rate)
	case !(b.reads >= 0 && b.reads <= 1):
		return inputError("--reads %v is not within 0..1", b.reads)
	case b.consistency != "l" && b.consistency != "s":
		return inputError("--consistency %q: choose l or s", b.consistency)
	case b.prefix == "":
		return inputError("--prefix must not be empty: the keys would lie among all others")
	}
	b.connections = min(b.connections, b.clients)
	return nil
}

func (a *app) runBench(ctx context.Context, b *bench) error {
	conns, err := b.connect(ctx)
	defer func() {
		for _, conn := range conns {
			conn.Close()
		}
	}()
	if err != nil {
		return err
	}
	if err := a.fill(ctx, b, conns); err != nil {
		return err
	}
	l := newBenchLoad(b, conns)
	l.run(ctx, a.benchProgress(""))
	r := l.report(ctx.Err() != nil)
	if err := (&printer{w: a.stdout, format: b.client.write}).bench(r); err != nil {
		return err
	}
	if r.done() == 0 && len(l.failures()) > 0 {
		return errors.New("no request succeeded")
	}
	return nil
}

// connect opens the connections. All endpoints must be there, or the figures would be those of another cluster than was named.
func (b *bench) connect(ctx context.Context) (conns []*grpc.ClientConn, err error) {
	for i := range b.connections {
		endpoint := b.client.endpoints[i%len(b.client.endpoints)]
		conn, err := b.client.dial(ctx, endpoint)
		if err != nil {
			return conns, &exitCodeError{exitConnect, &unreachableError{[]error{err}, cmp.Or(b.client.hint, "is it running? \"balsa dev\" starts a cluster, --endpoints names another")}}
		}
		conns = append(conns, conn)
	}
	return conns, nil
}

// fill writes the keys that are to be read, unless there are as many already.
func (a *app) fill(ctx context.Context, b *bench, conns []*grpc.ClientConn) error {
	if !slices.Contains(benchWorkloads[b.workload], "get") {
		return nil
	}
	callCtx, cancel := context.WithTimeout(ctx, b.client.timeout)
	defer cancel()
	there, err := pb.NewKVClient(conns[0]).Range(callCtx, &pb.RangeRequest{Key: []byte(b.prefix), RangeEnd: prefixEnd([]byte(b.prefix)), CountOnly: true})
	if err != nil {
		return callError(err, true)
	}
	if there.Count >= int64(b.keys) {
		return nil
	}
	puts := *b
	puts.workload, puts.duration, puts.total, puts.rate = "put", 0, int64(b.keys), 0
	l := newBenchLoad(&puts, conns)
	l.inOrder = true
	l.run(ctx, a.benchProgress("writing the keys: "))
	if ctx.Err() != nil {
		return errors.New("interrupted before anything was measured")
	}
	if failed := l.failures(); len(failed) > 0 {
		return fmt.Errorf("the keys that are to be read could not all be written: %s", strings.Join(failed, "; "))
	}
	return nil
}
