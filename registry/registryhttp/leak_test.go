package registryhttp_test

import (
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// leakCalls is 100,000 where there is time for it.
func leakCalls() int {
	if os.Getenv("MAINSTAY_DEEP") != "" {
		return 100_000
	}
	return 10_000
}

// Calls of every kind through as few connections as possible: if an attempt
// kept one of them, the rest would wait for it in vain. The servers count what
// they are left with, and so do the endpoints.
func TestFaults_NoLeakedConnections(t *testing.T) {
	const callers = 4
	base := &http.Transport{MaxConnsPerHost: callers}
	text := strings.Repeat("text ", 2000)
	serve := func(w *wire) {
		for req := w.request(); req != nil; req = w.request() {
			switch req.URL.Path {
			case "/ok":
				w.answer(200, text)
			case "/500":
				w.answer(500, text)
			case "/503":
				w.answer(503, text) // more than is drained
			case "/503small":
				w.answer(503, "sorry", "Retry-After", "1")
			case "/429":
				w.answer(429, "", "Retry-After", "1")
			case "/truncated":
				w.send(half)
				return
			default:
				return
			}
		}
	}
	f := newFixture(t, base, nil, func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Policy = balance.RoundRobin{}
		cfg.Balancer.Retry = balance.Retry{Attempts: 3, Budget: 0.5}
	})
	var servers []*faultServer
	for _, id := range []string{"a", "b", "c"} {
		servers = append(servers, away(serve)(t, base, f.reg, id))
	}
	client := &http.Client{Transport: f}
	ctx, cancel := context.WithTimeout(t.Context(), 4*watchdog)
	defer cancel()

	ask := func(rnd *rand.Rand, path string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, "http://orders/"+path, strings.NewReader("payload"))
		if err != nil {
			return err
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if rnd.IntN(8) == 0 {
			return nil // closed early
		}
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	var calls, failed atomic.Int64
	var wg sync.WaitGroup
	total := int64(leakCalls())
	for i := range callers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			paths := []string{"ok", "ok", "ok", "ok", "500", "503", "503small", "429", "truncated", "hangup"}
			for calls.Add(1) <= total {
				if err := ask(rnd, paths[rnd.IntN(len(paths))]); err != nil {
					failed.Add(1)
				}
				if ctx.Err() != nil {
					t.Error("a call waits for a connection that does not come back")
					return
				}
			}
		})
	}
	wg.Wait()

	assert.Zero(t, f.inFlight())
	stats := f.stats(t)
	assert.NotZero(t, stats.Retries)
	assert.Len(t, f.take(), int(total)+int(stats.Retries), "every attempt is told once")
	assert.NotZero(t, failed.Load())
	requests := int64(0)
	for _, s := range servers {
		requests += s.requests.Load()
	}
	t.Logf("%d calls, %d of them failed, %d retries; %d requests", total, failed.Load(), stats.Retries, requests)
}
