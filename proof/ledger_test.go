//go:build proof

package proof

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"sync"
)

// entry is a line of the ledger: something that a caller is about to ask for, or
// what was acknowledged to it.
type entry struct {
	Round  int    `json:"round"`
	Caller int    `json:"caller"`
	Op     op     `json:"op"`
	Done   bool   `json:"done,omitempty"` // acknowledged; otherwise only asked for
	Grant  int    `json:"grant,omitempty"`
	Item   string `json:"item,omitempty"` // what it was asked about: a code or a token

	Code    string `json:"code,omitempty"` // what was acknowledged
	Access  string `json:"access,omitempty"`
	Refresh string `json:"refresh,omitempty"`

	Fate fate `json:"fate,omitempty"` // what was found out after a crash
}

// op is what callers do.
type op string

const (
	opIssue       op = "issue"       // a code
	opRedeem      op = "redeem"      // a code for tokens
	opRefresh     op = "refresh"     // a refresh token for its successor
	opCredentials op = "credentials" // a token of the client's own
	opRevoke      op = "revoke"      // an access token
	opEnd         op = "end"         // a grant, by its refresh token
	opKillClient  op = "kill client"
	opKillService op = "kill service"
	opFound       op = "found" // after a crash: what became of the grant, or of Item
)

// ledger is what the parent knows for sure, on its disk: an acknowledgement
// counts from when fsync returned. One fsync serves all who wait.
type ledger struct {
	file *os.File

	mu      sync.Mutex
	changed *sync.Cond
	pending bytes.Buffer
	written int // entries that were appended
	durable int // entries that are on the disk
	closed  bool
	failed  error
	ended   chan struct{}
}

func openLedger(path string) (*ledger, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	l := &ledger{file: file, ended: make(chan struct{})}
	l.changed = sync.NewCond(&l.mu)
	go l.flush()
	return l, nil
}

// record appends an entry and, if it is an acknowledgement, returns when it is
// on the disk.
func (l *ledger) record(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pending.Write(append(line, '\n'))
	l.written++
	mine := l.written
	l.changed.Broadcast()
	for e.Done && l.durable < mine && l.failed == nil {
		l.changed.Wait()
	}
	return l.failed
}

// flush writes what was appended, again and again.
func (l *ledger) flush() {
	defer close(l.ended)
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.failed == nil {
		for l.pending.Len() == 0 && !l.closed {
			l.changed.Wait()
		}
		if l.pending.Len() == 0 {
			return
		}
		lines, upTo := bytes.Clone(l.pending.Bytes()), l.written
		l.pending.Reset()
		l.mu.Unlock()
		_, err := l.file.Write(lines)
		if err == nil {
			err = l.file.Sync()
		}
		l.mu.Lock()
		l.durable, l.failed = upTo, err
		l.changed.Broadcast()
	}
}

func (l *ledger) close() error {
	l.mu.Lock()
	l.closed = true
	l.changed.Broadcast()
	l.mu.Unlock()
	<-l.ended
	l.file.Close()
	return l.failed
}

// readLedger hands the entries on the disk to apply, in their order.
func readLedger(path string, apply func(entry)) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("line %d: %w", n, err)
		}
		apply(e)
	}
	return lines.Err()
}
