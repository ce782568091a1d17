// Package tidy tests the source of this module in the ordinary test run: which package imports which, that raft and
// host stay deterministic, that every package says what it is. Its tables are policy. A test that fails here is
// answered by changing the code, or by changing the policy on purpose and saying why; never by an exception.
package tidy
