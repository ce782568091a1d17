// Package balsa replicates a program's state machine over several servers with the Raft consensus algorithm.
package balsa
