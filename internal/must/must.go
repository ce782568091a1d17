// Package must holds the assertions that stay on in production.
//
// An assertion states what the program itself guarantees; it fails only when Balsa has a bug, and then the
// process must not go on: a consensus core that has lost an invariant can only make things worse. What
// comes from outside (a peer, a file, a client) is never asserted, it is checked and answered with an error.
package must

import "fmt"

// Be panics unless cond holds. The format says what must hold, with the values that broke it.
// Arguments are evaluated on every call, so pass plain values and no function calls that cost anything.
func Be(cond bool, format string, args ...any) {
	if !cond {
		fail(format, args)
	}
}

//go:noinline
func fail(format string, args []any) {
	panic("balsa: broken invariant: " + fmt.Sprintf(format, args...))
}
