package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

// delFlags are the flags of del, on the command line and in a transaction.
type delFlags struct{ prefix, fromKey, prevKV bool }

func (f *delFlags) register(fs *pflag.FlagSet) {
	fs.BoolVar(&f.prefix, "prefix", false, "all keys that begin with KEY")
	fs.BoolVar(&f.fromKey, "from-key", false, "all keys from KEY on")
	fs.BoolVar(&f.prevKV, "prev-kv", false, "return what is deleted")
}

const delUsage = "del KEY [RANGE_END]"

func (f *delFlags) request(args []string) (*pb.DeleteRangeRequest, error) {
	if len(args) == 0 || len(args) > 2 {
		return nil, inputError("usage: balsa %s", delUsage)
	}
	key, end, err := keyRange(args, f.prefix, f.fromKey)
	if err != nil {
		return nil, err
	}
	return &pb.DeleteRangeRequest{Key: key, RangeEnd: end, PrevKv: f.prevKV}, nil
}

func (a *app) delCommand() *cobra.Command {
	c, f := &client{}, &delFlags{}
	cmd := &cobra.Command{
		Use:   delUsage,
		Short: "Delete a key, or a range of keys",
		RunE: func(cmd *cobra.Command, args []string) error {
			r, err := f.request(args)
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), false, func(ctx context.Context, conn *grpc.ClientConn) error {
				response, err := pb.NewKVClient(conn).DeleteRange(ctx, r)
				if err != nil {
					return err
				}
				return (&printer{w: a.stdout, format: c.write}).del(response)
			})
		},
	}
	f.register(cmd.Flags())
	a.addClientFlags(cmd, c)
	return cmd
}
