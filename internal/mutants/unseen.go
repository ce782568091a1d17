package main

import (
	"fmt"
	"slices"
	"strings"
)

// unseen are the faults that no seed can catch, each with the reason. They are not counted among those that seeds shall catch.
var unseen = []struct{ name, why string }{
	{"an-empty-disk-is-who-it-was", "Who is asked to vote with an empty disk is asked by a member that knows which folder it had, and whose host refuses it before the core is asked " +
		"(`lost-folder-let-in` is that rule); a member that does not know has a log that is shorter than the one in which the folder is written down."},
	{"promoted-without-a-folder", "Who is made a voter has acknowledged the configuration that has it as a learner. When that configuration comes into force, the host asks about all " +
		"connections again, and only then sends it (`Shard.carryOut`: `followConfiguration` before the messages). So the core is told of the member's folder before that acknowledgement can reach it. In the same " +
		"pass it writes folders down (`pin`) before it looks who has caught up (`enter`), and goes no further until that is committed; in a joint configuration, or during a transfer, it does neither. So the rule " +
		"decides only if the host has failed to introduce the member, which is another fault."},
}

func isUnseen(name string) bool {
	return slices.ContainsFunc(unseen, func(u struct{ name, why string }) bool { return u.name == name })
}

func unseenText() string {
	var b strings.Builder
	b.WriteString("\nWhat no seed can catch, and why:\n\n")
	for _, u := range unseen {
		fmt.Fprintf(&b, "- `%s`. %s\n", u.name, u.why)
	}
	return b.String()
}
