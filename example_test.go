package balsa_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log"
	"log/slog"
	"os"

	"github.com/balsa-raft/balsa"
)

// counter is a replicated state machine: a command is a number to add, its result the new sum.
type counter struct{ sum int }

func (c *counter) Apply(batch iter.Seq[balsa.Entry[int, int]]) error {
	for e := range batch {
		c.sum += e.Command
		e.Reply(c.sum)
	}
	return nil
}

func (c *counter) Snapshot() (func(io.Writer) error, error) {
	sum := c.sum
	return func(w io.Writer) error { return json.NewEncoder(w).Encode(sum) }, nil
}

func (c *counter) Restore(r io.Reader) error { return json.NewDecoder(r).Decode(&c.sum) }

// A group of one member. For three, give each its own Dir and ID, and all the same Members.
func Example() {
	dir, err := os.MkdirTemp("", "balsa-example-*")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	node, err := balsa.Open(context.Background(), balsa.Config{
		Dir:     dir,
		ID:      1,
		Members: []balsa.Member{{ID: 1, Address: "127.0.0.1:0"}},
		Logger:  slog.New(slog.DiscardHandler),
	}, &counter{})
	if err != nil {
		log.Fatal(err)
	}
	defer node.Close()

	for _, n := range []int{40, 2} {
		sum, err := node.Propose(context.Background(), n)
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(sum.Value)
	}
	// Output:
	// 40
	// 42
}
