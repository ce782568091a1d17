package host

import (
	"fmt"
	"time"

	"github.com/balsa-raft/balsa/raft"
)

// Level says how fresh a read must be. The zero Level is Linearizable. Levels can be compared.
type Level struct {
	kind  levelKind
	index raft.Index    // of AtLeast
	age   time.Duration // of AtMostOld
}

type levelKind uint8

const (
	linearizable levelKind = iota
	lease
	local
	atLeast
	atMostOld
)

// These are the levels without a measure. See the root package for what they promise.
var (
	Linearizable = Level{kind: linearizable}
	Lease        = Level{kind: lease}
	Local        = Level{kind: local}
)

// AtLeast is what has executed entry i.
func AtLeast(i raft.Index) Level { return Level{kind: atLeast, index: i} }

// AtMostOld is what reflects all that was committed anywhere until age before the read was asked, by this member's clock.
func AtMostOld(age time.Duration) Level { return Level{kind: atMostOld, age: age} }

func (l Level) String() string {
	switch l.kind {
	case atLeast:
		return fmt.Sprintf("at least %d", l.index)
	case atMostOld:
		return fmt.Sprintf("at most %v old", l.age)
	}
	return [...]string{"linearizable", "lease", "local"}[l.kind]
}
