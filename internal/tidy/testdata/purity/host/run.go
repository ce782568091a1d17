package host

import "time"

func run(ps map[int]int) {
	go clocks(now{})
	_ = time.Now()
	for range ps { // want "the order of a map"
	}
}
