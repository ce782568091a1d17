// Command balsa is Balsa's program: it runs a cluster for development (dev), one member of a real one (server), and
// reads and writes any server that speaks the etcd v3 API (get, put, del, txn), and shows and changes who is in a cluster (status, members, move-leader), and measures it (bench); and it simulates clusters under faults (sim).
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := newApp().run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}
