package sim

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
)

// failed is what Test says of a failure: first the summary, on one screen, then how to see it again, and then all else.
type failed struct {
	violation *Violation
	text      string
}

func (f *failed) Error() string { return f.text }

func (f *failed) Unwrap() error { return f.violation }

// summed runs a failed run once more for its summary, and returns how it fails. A machine that depends on something that it is not given may not fail
// the next time: then there is no summary.
func (m *Machine[C, R]) summed(t *testing.T, o Options, v *Violation) *Violation {
	o.Story = io.Discard
	for range replaysMax {
		_, err := m.run(t, o)
		if again := (*Violation)(nil); errors.As(err, &again) && again.Property == v.Property {
			return again
		}
	}
	return v
}

// front is the beginning of what Test says: the summary, and the line that replays it.
func (v *Violation) front(replay string) string {
	var b strings.Builder
	if v.Summary == "" {
		fmt.Fprintf(&b, "%v\n", v)
	}
	fmt.Fprintf(&b, "%sagain: %s", v.Summary, replay)
	if v.Stack != "" {
		fmt.Fprintf(&b, "\n\nwhere it panicked:\n%s", strings.TrimRight(v.Stack, "\n"))
	}
	return b.String()
}
