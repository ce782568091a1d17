package sim

import "testing"

// Find is Test for so many seeds, or with 0 as many as Test runs. It returns what Test fails t with.
func Find[C, R any](t *testing.T, m Machine[C, R], o Options, seeds int) error {
	return find(t, m, o, plan{seeds: seeds})
}
