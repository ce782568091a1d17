package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// getFlags are the flags of get, on the command line and in a transaction.
type getFlags struct {
	consistency, order, sortBy           string
	limit, rev                           int64
	minMod, maxMod, minCreate, maxCreate int64
	prefix, fromKey, keysOnly, countOnly bool
}

func (f *getFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.consistency, "consistency", "l", "l: linearizable, sees every write that was acknowledged; s: serializable, what the server asked has")
	fs.StringVar(&f.order, "order", "", "ascend or descend")
	fs.StringVar(&f.sortBy, "sort-by", "", "key, version, create, modify or value")
	fs.Int64Var(&f.limit, "limit", 0, "at most so many keys")
	fs.Int64Var(&f.rev, "rev", 0, "as of this revision")
	fs.Int64Var(&f.minMod, "min-mod-rev", 0, "only keys modified at or after this revision")
	fs.Int64Var(&f.maxMod, "max-mod-rev", 0, "only keys modified at or before this revision")
	fs.Int64Var(&f.minCreate, "min-create-rev", 0, "only keys created at or after this revision")
	fs.Int64Var(&f.maxCreate, "max-create-rev", 0, "only keys created at or before this revision")
	fs.BoolVar(&f.prefix, "prefix", false, "all keys that begin with KEY")
	fs.BoolVar(&f.fromKey, "from-key", false, "all keys from KEY on")
	fs.BoolVar(&f.keysOnly, "keys-only", false, "keys without values")
	fs.BoolVar(&f.countOnly, "count-only", false, "how many keys there are")
}

const getUsage = "get KEY [RANGE_END]"

func (f *getFlags) request(args []string) (*pb.RangeRequest, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, inputError("usage: balsa %s", getUsage)
	}
	if f.keysOnly && f.countOnly {
		return nil, inputError("--keys-only and --count-only exclude each other")
	}
	if f.consistency != "l" && f.consistency != "s" {
		return nil, inputError("--consistency %q: choose l or s", f.consistency)
	}
	key, end, err := keyRange(args, f.prefix, f.fromKey)
	if err != nil {
		return nil, err
	}
	r := &pb.RangeRequest{
		Key: key, RangeEnd: end, Limit: f.limit, Revision: f.rev, Serializable: f.consistency == "s",
		KeysOnly: f.keysOnly, CountOnly: f.countOnly,
		MinModRevision: f.minMod, MaxModRevision: f.maxMod, MinCreateRevision: f.minCreate, MaxCreateRevision: f.maxCreate,
	}
	return r, f.sort(r)
}

func (f *getFlags) sort(r *pb.RangeRequest) error {
	switch strings.ToLower(f.order) {
	case "":
	case "ascend":
		r.SortOrder = pb.RangeRequest_ASCEND
	case "descend":
		r.SortOrder = pb.RangeRequest_DESCEND
	default:
		return inputError("--order %q: choose ascend or descend", f.order)
	}
	switch strings.ToLower(f.sortBy) {
	case "", "key":
	case "version":
		r.SortTarget = pb.RangeRequest_VERSION
	case "create":
		r.SortTarget = pb.RangeRequest_CREATE
	case "modify":
		r.SortTarget = pb.RangeRequest_MOD
	case "value":
		r.SortTarget = pb.RangeRequest_VALUE
	default:
		return inputError("--sort-by %q: choose key, version, create, modify or value", f.sortBy)
	}
	if r.SortTarget != pb.RangeRequest_KEY && r.SortOrder == pb.RangeRequest_NONE {
		r.SortOrder = pb.RangeRequest_ASCEND // without an order the server would cut before it sorts
	}
	return nil
}

// keyRange returns the key and the range end of the arguments.
func keyRange(args []string, prefix, fromKey bool) (key, end []byte, err error) {
	key = []byte(args[0])
	switch {
	case prefix && fromKey:
		return nil, nil, inputError("--prefix and --from-key exclude each other")
	case (prefix || fromKey) && len(args) == 2:
		return nil, nil, inputError("a RANGE_END excludes --prefix and --from-key")
	case len(args) == 2:
		return key, []byte(args[1]), nil
	case (prefix || fromKey) && len(key) == 0: // every key there is
		return []byte{0}, []byte{0}, nil
	case fromKey:
		return key, []byte{0}, nil
	case prefix:
		return key, prefixEnd(key), nil
	}
	return key, nil, nil
}

// prefixEnd returns the first key after all that begin with the prefix.
func prefixEnd(prefix []byte) []byte {
	for i := len(prefix) - 1; i >= 0; i-- {
		if prefix[i] < 0xff {
			end := append([]byte(nil), prefix[:i+1]...)
			end[i]++
			return end
		}
	}
	return []byte{0} // 0xff alone: up to the last key
}

func (a *app) getCommand() *cobra.Command {
	c, f, valueOnly := &client{}, &getFlags{}, false
	cmd := &cobra.Command{
		Use:   getUsage,
		Short: "Read a key, or a range of keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(args)
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), true, func(ctx context.Context, conn *grpc.ClientConn) error {
				response, err := pb.NewKVClient(conn).Range(ctx, r)
				if err != nil {
					return err
				}
				p := &printer{w: a.stdout, format: c.write, keysOnly: f.keysOnly, valueOnly: valueOnly, countOnly: f.countOnly}
				return p.get(response)
			})
		},
	}
	f.register(cmd.Flags())
	cmd.Flags().BoolVar(&valueOnly, "print-value-only", false, "write the values without the keys")
	a.addClientFlags(cmd, c)
	return cmd
}
