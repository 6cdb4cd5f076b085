package caddymodule

import (
	"sync"
	"time"
)

// refusalsPerSecond is how many lines there are in a second for each reason.
const refusalsPerSecond = 10

// refusalLog bounds the lines about refusals. The reasons are a closed set, so one
// that is rare is seen beside a flood of another. (Metrics have all of them.)
type refusalLog struct {
	mu      sync.Mutex
	windows map[string]*refusalWindow // by reason
}

type refusalWindow struct {
	second  int64
	written int
	leftOut uint64 // since the last line
}

// admit reports whether a refusal gets a line, and how many of the same reason got
// none since the last one.
func (l *refusalLog) admit(reason string, now time.Time) (write bool, leftOut uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w := l.windows[reason]
	if w == nil {
		w = new(refusalWindow)
		if l.windows == nil {
			l.windows = map[string]*refusalWindow{}
		}
		l.windows[reason] = w
	}
	if second := now.Unix(); second != w.second {
		w.second, w.written = second, 0
	}
	if w.written >= refusalsPerSecond {
		w.leftOut++
		return false, 0
	}
	w.written++
	leftOut, w.leftOut = w.leftOut, 0
	return true, leftOut
}
