package audit

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func refusal(actor, address string) store.Event {
	return store.Event{
		Environment: store.Sandbox, At: now, Actor: actor, Action: "client.sign_in", Target: "endpoint:token",
		Outcome: "invalid_client", Address: address, RequestID: "r1",
	}
}

func TestAlikeEventsAreCounted(t *testing.T) {
	g := NewGatherer()
	later := refusal("client:a", "192.0.2.1")
	later.At, later.RequestID = now.Add(time.Millisecond), "r2"
	g.Add(refusal("client:a", "192.0.2.1"))
	g.Add(later)
	g.Add(refusal("client:a", "192.0.2.2"))
	g.Add(refusal("client:b", "192.0.2.1"))
	got := g.Take()
	if len(got) != 3 || got[0].Count != 2 || got[1].Count != 1 || got[2].Count != 1 {
		t.Fatalf("%+v", got)
	}
	if got[0].RequestID != "r1" || !got[0].At.Equal(now) {
		t.Errorf("the first of its kind gives time and id: %+v", got[0])
	}
	if again := g.Take(); len(again) != 0 {
		t.Errorf("taken twice: %+v", again)
	}
}

// A flood from as many addresses as one likes becomes few rows and loses no
// count, and goes on to become fewer.
func TestFloodFromManyAddressesIsBounded(t *testing.T) {
	g := NewGatherer()
	for window, want := range []int{maxKinds + 1, refusalsPerWindow + 1, refusalsPerWindow + 1} {
		const flood = 10_000
		for i := range flood {
			g.Add(refusal("client:unknown", fmt.Sprint("192.0.2.", i)))
		}
		got := g.Take()
		var sum int64
		for _, e := range got {
			sum += e.Count
		}
		if len(got) != want || sum != flood {
			t.Errorf("window %d: %d rows for %d events, want %d for %d", window, len(got), sum, want, flood)
		}
		rest := got[len(got)-1]
		if rest.Actor != others || rest.Target != others || rest.Address != "" || rest.Action != "client.sign_in" || rest.Outcome != "invalid_client" {
			t.Errorf("the rest is %+v", rest)
		}
	}
}

// A flood of refusals does not push out who signs in.
func TestSignInsHaveRoomBesideAFlood(t *testing.T) {
	g := NewGatherer()
	for i := range 3 * maxKinds {
		g.Add(refusal("client:unknown", fmt.Sprint(i)))
	}
	g.Take()
	for i := range 3 * maxKinds {
		g.Add(refusal("client:unknown", fmt.Sprint(i)))
	}
	g.Add(store.Event{Environment: store.Sandbox, Actor: "client:bot", Action: "client.sign_in", Outcome: "ok"})
	for _, e := range g.Take() {
		if e.Actor == "client:bot" && e.Count == 1 {
			return
		}
	}
	t.Error("the sign-in is not among what was gathered")
}

func TestWhatCouldNotBeWrittenIsKept(t *testing.T) {
	g := NewGatherer()
	for i := range 3 * maxKinds {
		g.Add(refusal("client:unknown", fmt.Sprint(i)))
	}
	for range 100 { // as long as the store is away
		g.Restore(g.Take())
	}
	g.Add(refusal("client:unknown", "0"))
	got := g.Take()
	if len(got) != maxKinds+1 || got[0].Count != 2 || got[maxKinds].Count != 2*maxKinds {
		t.Errorf("%d rows, first %d, rest %d", len(got), got[0].Count, got[len(got)-1].Count)
	}
}

func TestNothingIsLostBetweenTwoWindows(t *testing.T) {
	g := NewGatherer()
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 1000 {
				g.Add(refusal("client:a", "192.0.2.1"))
			}
		})
	}
	done := make(chan struct{})
	go func() {
		all.Wait()
		close(done)
	}()
	var sum int64
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		default:
		}
		for _, e := range g.Take() {
			sum += e.Count
		}
	}
	if sum != 4000 {
		t.Errorf("%d events, want 4000", sum)
	}
}

func BenchmarkGather(b *testing.B) {
	g, e := NewGatherer(), refusal("client:a", "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		g.Add(e)
	}
}
