package audit

import (
	"context"
	"sync"
	"time"
)

// Sink is a place outside of the database that keeps heads.
type Sink interface {
	// Deliver hands a line out. When it returns without error, the sink has it,
	// as far as the sink can tell. It is called by one goroutine at a time.
	Deliver(ctx context.Context, line string) error
	// String names the sink as the configuration does.
	String() string
	// Close gives back what Deliver has opened.
	Close()
}

const (
	deliverTimeout = 2 * time.Second
	// redeliverAfter is how long a head that could not be delivered waits.
	redeliverAfter = time.Second
)

// Courier brings heads to one sink, in a goroutine of its own: nobody waits for
// a sink. A head that can't be delivered is tried again, unless there is a newer
// one by then: the newest stands for all before it.
type Courier struct {
	sink   Sink
	report func(sink string, err error)

	mu      sync.Mutex
	waiting string // the newest line; "": it was delivered
	failed  error  // of the last attempt; nil: it worked

	wake  chan struct{}
	stop  chan struct{}
	ended chan struct{}
}

// NewCourier begins to serve a sink. report is told of the first of several
// failures in a row, and with nil that the sink works again.
func NewCourier(sink Sink, report func(sink string, err error)) *Courier {
	c := &Courier{
		sink: sink, report: report,
		wake: make(chan struct{}, 1), stop: make(chan struct{}), ended: make(chan struct{}),
	}
	go c.run()
	return c
}

// Send has a head delivered soon.
func (c *Courier) Send(h Head) {
	c.mu.Lock()
	c.waiting = h.Line()
	c.mu.Unlock()
	select {
	case c.wake <- struct{}{}:
	default: // it will look anyway
	}
}

// Close makes a last attempt to deliver what waits, and ends. It waits for that
// as long as the context lets it.
func (c *Courier) Close(ctx context.Context) {
	close(c.stop)
	select {
	case <-c.ended:
	case <-ctx.Done():
	}
}

func (c *Courier) run() {
	defer close(c.ended)
	defer c.sink.Close()
	failing := false
	for {
		var again <-chan time.Time
		if err := c.attempt(); err != nil {
			again = time.After(redeliverAfter)
			if !failing {
				c.report(c.sink.String(), err)
			}
			failing = true
		} else if failing {
			failing = false
			c.report(c.sink.String(), nil)
		}
		select {
		case <-c.wake:
		case <-again:
		case <-c.stop:
			if err := c.attempt(); err != nil && !failing {
				c.report(c.sink.String(), err)
			}
			return
		}
	}
}

// Failed returns why the newest head could not be delivered, nil if it could.
func (c *Courier) Failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.failed
}

// attempt delivers what waits, if anything does.
func (c *Courier) attempt() error {
	err := c.deliver()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.failed = err
	return err
}

func (c *Courier) deliver() error {
	c.mu.Lock()
	line := c.waiting
	c.mu.Unlock()
	if line == "" {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), deliverTimeout)
	defer cancel()
	if err := c.sink.Deliver(ctx, line); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waiting == line {
		c.waiting = ""
	}
	return nil
}
