//go:build race

package host

// The race detector makes tests of one goroutine slow and finds nothing in them, so they do less under it.
const raced = true
