// Package balsa replicates a program's state machine over several servers with the Raft consensus algorithm.
//
// A program implements [StateMachine] and opens a [Node] on each server. [Node.Propose] replicates a command and returns its result
// once a majority has it on disk and this member has applied it; [Node.Read] makes reads of the state machine linearizable. Both
// work on every member.
//
//	type counter struct{ sum int }
//
//	func (c *counter) Apply(batch iter.Seq[balsa.Entry[int, int]]) error {
//		for e := range batch {
//			c.sum += e.Command
//			e.Reply(c.sum)
//		}
//		return nil
//	}
//
//	node, err := balsa.Open(ctx, balsa.Config{Dir: "data", ID: 1, Members: members}, &counter{})
//	result, err := node.Propose(ctx, 42)
//
// # Guarantees
//
// What Propose has returned a result for is on the disks of a majority, and stays. Commands are executed once, in one order, by
// every member. A linearizable read sees every command whose Propose returned before the read began, anywhere.
//
// Propose ends in one of three ways, and says which: a [Result]; an error that wraps [ErrNotCommitted], after which the command
// has no effect, now or later; or one that wraps [ErrUnknownOutcome], if the context ended first. Commands that are certain to
// be lost to a change of leader are proposed again by the node itself.
//
// Who must know how a command ended, even if the context ended or its process died, uses a [Session]: its commands can be proposed again on any member,
// by any process, and are executed once.
//
// After a failed write to its log, or an error of its state machine, a member stops and says so: see [Node.Done] and [Node.Err].
//
// # State machines
//
// A machine with its state in memory is restored from the newest snapshot at each start. One that keeps it on disk is [Durable]. Package
// balsatest tests whether a machine keeps to the contract.
//
// # What it does not do yet
//
// The set of members is fixed, and connections between members are neither encrypted nor authenticated: who
// reaches their addresses can harm the cluster. A member that has lost its data folder is not recognised as such; see [Config].
package balsa
