package host

import "time"

func realNow() time.Time {
	go run(nil) // want "only in a file named run.go"
	return time.Now()
}
