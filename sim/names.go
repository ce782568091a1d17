package sim

// Name is one of those that Options.Faults and Options.Without are written with, and what it means.
type Name struct{ Name, Meaning string }

// faultMeanings say of each kind of fault what happens.
var faultMeanings = [...]string{
	"a member loses power, at any moment: of what was not synced each sector, size and name is there or not",
	"a member's process ends, at any moment; its disk keeps all that was written",
	"all lose power at the same time",
	"the members come apart into two sets",
	"single directions of links are cut",
	"a process stands still for a while, or its machine does, with the clock",
	"a member's disk is slow for a while",
	"an operation on a member's disk fails, and what it was to do may be done or not",
	"a member's state machine takes long to execute commands",
	"a member is told that another one cannot be reached, and that is not so",
	"messages are lost",
	"messages arrive twice, perhaps long after each other",
	"messages arrive late",
	"messages overtake each other",
	"the lead is handed over, or that is tried",
	"members are added, removed, promoted and demoted",
	"a member loses its data folder, and has to be replaced",
	"a member's writes and syncs have no answer for seconds",
	"clocks go faster or slower, within what the others are told",
	"a leader is kept from learning that it leads no longer",
	"two halves do not hear each other, and one member hears both",
	"members hear those beside them in a ring alone",
	"a member's links are cut one after the other, and mended in another order",
	"a member's links come and go many times within an election timeout",
	"a member's links take up to an election timeout for a while",
	"a member's clock jumps forward",
	"a member is replaced under its own id, and its old folder is started in place of the new one",
	"with power: sectors of what was not synced may be there in part",
	"a read of a member's disk fails",
	"a member's disk has little room, or none",
	"bytes on a member's disk that were synced change",
}

// FaultNames are the faults, as ParseFaults and ParseDecisions take them.
func FaultNames() (all []Name) {
	for i, meaning := range faultMeanings {
		all = append(all, Name{faultNames[i], meaning})
	}
	return all
}

// SimpleNames are what can be simpler than a seed has it, as ParseDecisions takes it.
func SimpleNames() (all []Name) {
	for i := range simples {
		all = append(all, Name{simples[i].name, simples[i].meaning})
	}
	return append(all, Name{simpleAll, "all of these"})
}

// MessageNames are the kinds of messages, as ParseDecisions takes them behind loss, duplicate and delay.
func MessageNames() []string { return messageNames[:] }
