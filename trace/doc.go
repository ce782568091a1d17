// Package trace says where the time of a write goes: what steps it takes through the members of a cluster, and how long each of them is.
//
// A member that is given a Tracer tells it of each step, with the places in the log that it is about; one that is not given one does nothing for it.
// A Recorder is a Tracer that keeps what it is told with the time. Ways puts together what the recorders of all members have kept, with the
// calls that were made, and finds for each write which steps it waited for: the leader's disk and the followers work at the same time,
// and of those that lead to a majority only the slowest one counts.
//
//	recorders -> []Hop --+
//	                     +-> Ways -> []Way -> Summarize -> Summary
//	callers  -> []Call --+
//
// The times of all members are compared with each other, so they must come from one clock: the members are in one process, or in a simulation.
package trace
