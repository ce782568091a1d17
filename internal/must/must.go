// Package must holds the assertions that stay on in production.
//
// An assertion states what the program itself guarantees; it fails only when Balsa has a bug, and then the
// process must not go on: a consensus core that has lost an invariant can only make things worse. What
// comes from outside (a peer, a file, a client) is never asserted, it is checked and answered with an error.
package must

import "fmt"

// Be panics unless cond holds. The format says what must hold, with the values that broke it. The values are boxed on
// every call: where that counts, use Be1 or Be2.
func Be(cond bool, format string, args ...any) {
	if !cond {
		fail(format, args...)
	}
}

// Be1 is Be with one value, which costs nothing while cond holds.
func Be1[A any](cond bool, format string, a A) {
	if !cond {
		fail(format, a)
	}
}

// Be2 is Be with two values, which cost nothing while cond holds.
func Be2[A, B any](cond bool, format string, a A, b B) {
	if !cond {
		fail(format, a, b)
	}
}

//go:noinline
func fail(format string, args ...any) {
	panic("balsa: broken invariant: " + fmt.Sprintf(format, args...))
}
