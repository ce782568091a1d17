// Package script runs transcript tests: text files that hold commands and the output they must give, and that are
// read as documentation.
//
//	# Comments and blank lines may stand anywhere outside an output, and are kept.
//	elect n1
//	propose n1 "two words" size=3
//	----
//	n1 is leader of term 1
//	n1 appended 2:t1
//
// A block is one or more commands, a line each, then ---- and the output of all of them, up to a blank line or the
// end of the file. A command is a name, then arguments and key=value pairs in any order; values with spaces, and
// arguments with an equals sign, are quoted as in Go. An output that itself has blank lines or lines of dashes is
// set between doubled rules:
//
//	dump
//	----
//	----
//	first
//
//	second
//	----
//	----
//
// With the flag -update (go test ./raft -update) the outputs in the files are replaced by what the commands gave:
// read the difference before you commit it.
package script
