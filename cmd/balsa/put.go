package main

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// putFlags are the flags of put, on the command line and in a transaction.
type putFlags struct {
	lease                            string
	prevKV, ignoreValue, ignoreLease bool
}

func (f *putFlags) register(fs *pflag.FlagSet) {
	fs.StringVar(&f.lease, "lease", "0", "the id of the lease to attach, in hexadecimal")
	fs.BoolVar(&f.prevKV, "prev-kv", false, "return the value that is replaced")
	fs.BoolVar(&f.ignoreValue, "ignore-value", false, "keep the value")
	fs.BoolVar(&f.ignoreLease, "ignore-lease", false, "keep the lease")
}

const putUsage = "put KEY [VALUE]"

// request makes the request of the arguments; a value that is missing is read from stdin, if there is one.
func (f *putFlags) request(args []string, stdin io.Reader) (*pb.PutRequest, error) {
	if len(args) == 0 || len(args) > 2 || f.ignoreValue && len(args) == 2 {
		return nil, inputError("usage: balsa %s, without VALUE if --ignore-value is set", putUsage)
	}
	lease, err := strconv.ParseInt(f.lease, 16, 64)
	if err != nil {
		return nil, inputError("--lease %q is no lease id: write it in hexadecimal", f.lease)
	}
	r := &pb.PutRequest{Key: []byte(args[0]), Lease: lease, PrevKv: f.prevKV, IgnoreValue: f.ignoreValue, IgnoreLease: f.ignoreLease}
	switch {
	case len(args) == 2:
		r.Value = []byte(args[1])
	case f.ignoreValue:
	case stdin == nil:
		return nil, inputError("usage: balsa put KEY VALUE, as a transaction has no other input")
	default:
		if r.Value, err = io.ReadAll(stdin); err != nil {
			return nil, fmt.Errorf("cannot read the value: %w", err)
		}
	}
	return r, nil
}

func (a *app) putCommand() *cobra.Command {
	c, f := &client{}, &putFlags{}
	cmd := &cobra.Command{
		Use:   putUsage,
		Short: "Write a key",
		Long:  "Write a key. Without VALUE the value is what comes from standard input.",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(args, a.stdin)
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), false, func(ctx context.Context, conn *grpc.ClientConn) error {
				response, err := pb.NewKVClient(conn).Put(ctx, r)
				if err != nil {
					return err
				}
				return (&printer{w: a.stdout, format: c.write}).put(response)
			})
		},
	}
	f.register(cmd.Flags())
	a.addClientFlags(cmd, c)
	return cmd
}
