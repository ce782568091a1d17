package transport

import (
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// quietLog logs what can happen again and again, such as a refused connection of a peer that retries: the same line at
// most once a minute, with how often it was left out.
type quietLog struct {
	to *slog.Logger

	mu   sync.Mutex
	seen map[string]*sighting
}

type sighting struct {
	logged time.Time
	quiet  int
}

const (
	quietFor     = time.Minute
	sightingsMax = 256
)

func newQuietLog(to *slog.Logger) *quietLog {
	return &quietLog{to: to, seen: map[string]*sighting{}}
}

func (q *quietLog) warn(msg string, args ...any) {
	key := fmt.Sprint(append([]any{msg}, args...)...)
	quiet, ok := q.allow(key, time.Now())
	if !ok {
		return
	}
	if quiet > 0 {
		args = append(args, "leftOut", quiet)
	}
	q.to.Warn(msg, args...)
}

func (q *quietLog) allow(key string, now time.Time) (quiet int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	s := q.seen[key]
	if s == nil {
		// Strangers choose some of what is in a key, so there must be an end to them.
		if len(q.seen) >= sightingsMax {
			clear(q.seen)
		}
		q.seen[key] = &sighting{logged: now}
		return 0, true
	}
	if now.Sub(s.logged) < quietFor {
		s.quiet++
		return 0, false
	}
	quiet = s.quiet
	*s = sighting{logged: now}
	return quiet, true
}
