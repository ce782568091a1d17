// Package wire holds the bytes of what leaves a member: entries, as they stand in the log and in messages; the log's
// records; packets, which are messages with their group; and the hello by which two members open a connection.
//
// An encoding is a promise to files that were written and to members that were not yet upgraded. Golden vectors in
// testdata keep it: bytes that exist do not change their meaning; a change is a new kind, a new flag or a new Version.
//
// Encoders append to a slice of the caller's and cannot fail: what they are given, this program made. Decoders take
// bytes that a disk or a stranger may have made. They check a length before they allocate for it, accept nothing
// but what the encoder would have written (so equal values have equal bytes), and need at most about sixteen bytes
// of memory for a byte of input. What they return shares the input's memory; nobody may change either afterwards.
//
// Integers are unsigned varints in their shortest form unless a width is named; those with a width are little-endian.
// docs/formats.md has the tables.
package wire
