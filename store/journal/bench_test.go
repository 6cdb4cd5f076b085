package journal

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

// BenchmarkRevoke shows what the journal adds to a revocation: a second fsync,
// shared by all that were committed together.
func BenchmarkRevoke(b *testing.B) {
	for _, with := range []bool{false, true} {
		for _, callers := range []int{1, 64} {
			b.Run(fmt.Sprintf("journal=%v/callers=%d", with, callers), func(b *testing.B) { benchmarkRevoke(b, with, callers) })
		}
	}
}

func benchmarkRevoke(b *testing.B, with bool, callers int) {
	var journal atomic.Pointer[Journal]
	st, err := sqlite.Open(b.Context(), sqlite.Options{
		Path: filepath.Join(b.TempDir(), "bearer.db"),
		Committed: func(revs []store.Revocation) {
			if j := journal.Load(); j != nil {
				j.Append(revs)
			}
		},
	})
	if err != nil {
		b.Fatal(err)
	}
	defer st.Close()
	if with {
		j, err := Open(b.Context(), Options{Store: st, Path: filepath.Join(b.TempDir(), "journal"), Log: zap.NewNop(), Now: time.Now})
		if err != nil {
			b.Fatal(err)
		}
		journal.Store(j)
		defer j.Close()
	}
	var next atomic.Int64
	errs := make(chan error, callers)
	b.ResetTimer()
	for range callers {
		go func() {
			var err error
			for i := next.Add(1); i <= int64(b.N) && err == nil; i = next.Add(1) {
				rev := store.Revocation{Environment: env, Kind: store.KindToken, Target: fmt.Sprint("jti ", i), At: start, Expires: start.Add(time.Hour)}
				_, err = st.Revoke(context.Background(), rev, store.Event{})
			}
			errs <- err
		}()
	}
	for range callers {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}
