package registryhttp_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/benbjohnson/clock"
	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// G46: a check that fails, panics, ends its goroutine or hangs is a failure, and
// the others are still told.
func TestG46_Checks(t *testing.T) {
	for name, test := range map[string]struct {
		check func(context.Context) error
		want  string // "" if it passes
		after time.Duration
	}{
		"passes":            {func(context.Context) error { return nil }, "", 0},
		"takes its time":    {func(context.Context) error { time.Sleep(time.Second); return nil }, "", time.Second},
		"fails":             {func(context.Context) error { return errors.New("no connection") }, "no connection", 0},
		"panics":            {func(context.Context) error { panic("boom") }, "panic: boom", 0},
		"panics with nil":   {func(context.Context) error { panic(nil) }, "panic: ", 0}, //nolint:govet // users do
		"ends goroutine":    {func(context.Context) error { runtime.Goexit(); return nil }, "runtime.Goexit was called", 0},
		"obeys its context": {func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, "", 2 * time.Second},
		"hangs":             {func(context.Context) error { time.Sleep(time.Hour); return nil }, "timed out", 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{Checks: checks{
					"db":    test.check,
					"other": func(context.Context) error { return errors.New("told anyway") },
				}})
				start := time.Now()
				problems := ready(t, h)
				assert.Equal(t, test.after, time.Since(start))
				if test.after < 2*time.Second {
					assert.Equal(t, "told anyway", problems["check other"])
				}
				switch got, failed := problems["check db"]; {
				case name == "obeys its context":
					assert.True(t, failed)
				case test.want == "":
					assert.False(t, failed, got)
				default:
					assert.Contains(t, got, test.want)
				}
				time.Sleep(time.Hour) // what hangs has to end in this bubble
			})
		})
	}
}

// G46: the contexts of checks are of real time, whatever the clock of the
// registry: one of a Mock lies in 1970, and real I/O would fail at once.
func TestG46_ChecksRunInRealTime(t *testing.T) {
	for name, test := range map[string]struct {
		timeout, want time.Duration
	}{
		"default":  {0, 2 * time.Second},
		"set":      {5 * time.Second, 5 * time.Second},
		"negative": {-1, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRegistry(t, registry.Config{Clock: clock.NewMock()})
				var left time.Duration
				h := newHandler(t, r, registryhttp.HandlerConfig{Timeout: test.timeout, Checks: checks{
					"db": func(ctx context.Context) error {
						if end, ok := ctx.Deadline(); ok {
							left = time.Until(end)
						}
						return ctx.Err()
					},
				}})
				assert.Empty(t, ready(t, h))
				assert.Equal(t, test.want, left)
			})
		})
	}
}

// G46: requests at the same time share one run of a check; later ones start
// another, since nothing is cached.
func TestG46_RunsAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		var running sync.Mutex
		h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{Checks: checks{
			"db": func(context.Context) error {
				if !running.TryLock() {
					return errors.New("two runs at a time")
				}
				defer running.Unlock()
				runs.Add(1)
				time.Sleep(time.Second)
				return errors.New("shared")
			},
		}})
		for round := range 3 {
			var wg sync.WaitGroup
			for range 100 {
				wg.Go(func() { assert.Equal(t, map[string]string{"check db": "shared"}, ready(t, h)) })
			}
			wg.Wait()
			assert.Equal(t, int64(round+1), runs.Load())
		}
	})
}

// G46: a run that others wait for does not end with the request that began it.
func TestG46_FirstRequestLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type key struct{}
		var value any
		h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{Checks: checks{
			"db": func(ctx context.Context) error {
				value = ctx.Value(key{})
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-time.After(time.Second):
					return nil
				}
			},
		}})
		ctx, cancel := context.WithCancel(context.WithValue(t.Context(), key{}, "first"))
		first := httptest.NewRecorder()
		left := make(chan struct{})
		go func() {
			defer close(left)
			h.ServeHTTP(first, httptest.NewRequestWithContext(ctx, http.MethodGet, "/readyz", nil))
		}()
		synctest.Wait()
		second := make(chan map[string]string)
		go func() { second <- ready(t, h) }()
		synctest.Wait()
		cancel()
		<-left
		assert.Equal(t, 503, first.Code)
		assert.Empty(t, <-second)
		assert.Equal(t, "first", value)
	})
}

// G46: a check that hangs for good has one goroutine, however often it is asked
// for.
func TestG46_HangingCheckDoesNotPileUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs atomic.Int64
		release := make(chan struct{})
		h := newHandler(t, newRegistry(t, registry.Config{}), registryhttp.HandlerConfig{Checks: checks{
			"db": func(context.Context) error {
				runs.Add(1)
				<-release
				return nil
			},
		}})
		assert.Contains(t, ready(t, h), "check db")
		synctest.Wait()
		before := runtime.NumGoroutine()
		for range 50 {
			assert.Equal(t, map[string]string{"check db": "timed out"}, ready(t, h))
		}
		synctest.Wait()
		assert.LessOrEqual(t, runtime.NumGoroutine(), before+5, "those of other tests come and go")
		assert.Equal(t, int64(1), runs.Load())
		close(release)
		synctest.Wait()
		assert.Empty(t, ready(t, h), "once it is over there is another run")
		assert.Equal(t, int64(2), runs.Load())
	})
}

// G46: what the caller does with its slices and maps afterwards is its own
// business.
func TestG46_ConfigIsCopied(t *testing.T) {
	cfg := registryhttp.HandlerConfig{Require: []string{}, Checks: checks{"db": func(context.Context) error { return nil }}}
	cfg.Require = append(cfg.Require, orders)
	r := newRegistry(t, registry.Config{})
	cfg.Leases = []*registry.Lease{register(t, r, instance("a"))}
	h := newHandler(t, r, cfg)
	cfg.Require[0], cfg.Leases[0] = "payment", nil
	cfg.Checks["db"] = nil
	assert.Empty(t, ready(t, h))
}
