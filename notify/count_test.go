package notify

import (
	"maps"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Attempts are counted by how they went, and what was given up too.
func TestDeliveriesAreCounted(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.issue("alice", "one", 0)
	w.pass(time.Second)
	w.receiver.answers(500)
	w.issue("alice", "two", 0)
	w.pass(time.Second)
	want := map[Outcome]uint64{Delivered: 1, Status: 1}
	if got := w.Deliveries(env); !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for range 30 {
		w.pass(time.Hour)
	}
	if got := w.Deliveries(env); got[Old] != 1 || got[Delivered] != 1 || got[Status] < 2 {
		t.Errorf("after a day: %v", got)
	}
	if _, err := w.Try(t.Context(), env, "alice"); err != nil || w.Deliveries(store.Production) != nil {
		t.Errorf("%v; the other environment: %v", err, w.Deliveries(store.Production))
	}
}
