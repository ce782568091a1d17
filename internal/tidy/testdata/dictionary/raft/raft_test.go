package raft

type Tock struct{}
