package host

import (
	crand "crypto/rand"
	"hash/maphash"
	. "math/rand"
	_ "net"     // want "host may not import net"
	_ "os/exec" // want "host may not import os/exec"
	"sync"
	clock "time"
)

type now struct{ mu sync.Mutex }

func (now) Now() clock.Time { return clock.Time{} }

func clocks(n now) {
	_ = n.Now()                    // a clock that was handed in
	_ = clock.Unix(0, 0)           // arithmetic
	_ = clock.Now()                // want "time.Now is the real clock"
	_ = clock.Since(clock.Time{})  // want "time.Since is the real clock"
	<-clock.After(clock.Second)    // want "time.After is the real clock"
	_ = clock.NewTimer(0)          // want "time.NewTimer is the real clock"
	clock.Sleep(clock.Millisecond) // want "time.Sleep is the real clock"
	read := clock.Now              // want "time.Now is the real clock"
	_ = read
}

func random() {
	_ = New(NewSource(1)).Intn(3)
	_ = Intn(3)            // want "rand.Intn draws from the global generator"
	_ = crand.Text()       // want "crypto/rand.Text differs from run to run"
	_ = maphash.MakeSeed() // want "hash/maphash.MakeSeed differs from run to run"
}

func goes() {
	go clocks(now{}) // want "only in a file named run.go"
}
