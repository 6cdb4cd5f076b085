package sqlite

import (
	"context"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// parallel runs one operation from 1 and from 64 callers: the second shows what
// they gain by sharing an fsync. prepare makes what n operations need, by
// number; names of records end in those numbers.
func parallel(b *testing.B, prepare func(s *Store, i int64) error, operation func(s *Store, i int64) error) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			s := opened(b, Options{})
			if prepare != nil {
				spread(b, 256, func(i int64) error { return prepare(s, i) })
			}
			b.ResetTimer()
			spread(b, callers, func(i int64) error { return operation(s, i) })
			b.StopTimer()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
		})
	}
}

// spread calls f for 1 to b.N from so many goroutines.
func spread(b *testing.B, goroutines int, f func(i int64) error) {
	b.Helper()
	var next atomic.Int64
	errs := make(chan error, goroutines)
	for range goroutines {
		go func() {
			for i := next.Add(1); i <= int64(b.N); i = next.Add(1) {
				if err := f(i); err != nil {
					errs <- err
					return
				}
			}
			errs <- nil
		}()
	}
	for range goroutines {
		if err := <-errs; err != nil {
			b.Fatal(err)
		}
	}
}

func named(what string, i int64) string { return fmt.Sprintf("%s %d", what, i) }

func issueNumber(s *Store, i int64) error { return issue(s, named("g", i)) }

func redeemNumber(s *Store, i int64) error { return redeem(s, named("g", i), named("t", i)) }

func issueAndRedeem(s *Store, i int64) error {
	if err := issueNumber(s, i); err != nil {
		return err
	}
	return redeemNumber(s, i)
}

func BenchmarkIssue(b *testing.B) { parallel(b, nil, issueNumber) }

func BenchmarkRedeemCode(b *testing.B) { parallel(b, issueNumber, redeemNumber) }

func BenchmarkRenew(b *testing.B) {
	parallel(b, issueAndRedeem, func(s *Store, i int64) error { return renew(s, named("t", i), named("u", i)) })
}

func BenchmarkTokenByHash(b *testing.B) {
	s := opened(b, Options{})
	for i := range int64(1000) {
		if err := issueAndRedeem(s, i); err != nil {
			b.Fatal(err)
		}
	}
	look := func(i int64) error {
		_, _, err := s.TokenByHash(context.Background(), env, hash(named("t", i%1000)))
		return err
	}
	for _, callers := range []int{1, runtime.GOMAXPROCS(0)} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) { spread(b, callers, look) })
	}
}

// BenchmarkRevoke shows the way of a revocation through the hook.
func BenchmarkRevoke(b *testing.B) {
	parallel(b, nil, func(s *Store, i int64) error {
		rev := store.Revocation{Environment: env, Kind: store.KindToken, Target: named("jti", i), At: now}
		_, err := s.Revoke(context.Background(), rev, store.Event{})
		return err
	})
}
