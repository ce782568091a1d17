package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc"
)

func (a *app) txnCommand() *cobra.Command {
	c, interactive := &client{}, false
	cmd := &cobra.Command{
		Use:   "txn",
		Short: "Compare, and write or read, in one step",
		Long: `Read a transaction from standard input and do it in one step. It has three parts, with an empty line after each:
comparisons, what to do if all of them hold, and what to do if one does not.

  balsa txn <<'END'
  mod("key1") > "0"
  value("key2") = "x"

  put key1 "overwritten"

  put key1 "created"
  get key2

  END

Compared are version, create, mod (numbers), value (text) and lease (hexadecimal) with =, !=, < or >.`,
		Args: argCount(0, 0, "txn [flags] < FILE"),
		RunE: func(cmd *cobra.Command, _ []string) error {
			prompt := func(string) {}
			if interactive {
				prompt = func(s string) { fmt.Fprintln(a.stdout, s) }
			}
			r, err := readTxn(a.stdin, prompt)
			if err != nil {
				return err
			}
			return c.call(cmd.Context(), readsOnly(r), func(ctx context.Context, conn *grpc.ClientConn) error {
				response, err := pb.NewKVClient(conn).Txn(ctx, r)
				if err != nil {
					return err
				}
				return (&printer{w: a.stdout, format: c.write}).txn(response)
			})
		},
	}
	cmd.Flags().BoolVarP(&interactive, "interactive", "i", false, "say what to type")
	a.addClientFlags(cmd, c)
	return cmd
}

// readsOnly reports whether a transaction may be repeated.
func readsOnly(r *pb.TxnRequest) bool {
	for _, branch := range [][]*pb.RequestOp{r.Success, r.Failure} {
		for _, op := range branch {
			if op.GetRequestRange() == nil {
				return false
			}
		}
	}
	return true
}
