package raft

const quorum = 2

type Raft struct{ term uint64 }

func (r *Raft) Tick() {}
