package breakerhttp_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// leakCalls is 100,000 where there is time for it.
func leakCalls() int {
	if os.Getenv("MAINSTAY_DEEP") != "" {
		return 100_000
	}
	return 5_000
}

// Calls of every kind through as few connections as possible: if the wrapper
// kept one of them, the rest would wait for it in vain. The server counts what
// it is left with, and so does the breaker.
func TestFaults_NoLeakedConnections(t *testing.T) {
	const callers = 4
	base := &http.Transport{MaxConnsPerHost: callers}
	text := strings.Repeat("text ", 2000)
	server := newFaultServer(t, base, func(w *wire) {
		for req := w.request(); req != nil; req = w.request() {
			switch req.URL.Path {
			case "/ok":
				w.answer(200, text)
			case "/500":
				w.answer(500, text)
			case "/429":
				w.answer(429, "", "Retry-After", "1")
			case "/truncated":
				w.send(half)
				return
			default:
				return
			}
		}
	})
	var tally [3]atomic.Int64
	clock := newHandClock()
	transport := newTransport(t, breakerhttp.TransportConfig{
		Base: base,
		Group: breaker.GroupConfig[string]{Config: breaker.Config{
			Trip: breaker.FailureRate(0.9, 20, breaker.LastN(20)), Clock: clock, Probes: 2, CloseAfter: 1,
			Hooks: breaker.Hooks{
				Done: func(_ context.Context, c breaker.Completion) { tally[c.Outcome].Add(1) },
				// Nobody waits for the open time: a few rejections are the end of it.
				Rejected: func(context.Context, *breaker.RejectedError) { clock.Add(10 * time.Second) },
			},
		}},
	})
	client := &http.Client{Transport: transport}
	ctx, cancel := context.WithTimeout(t.Context(), 4*watchdog)
	defer cancel()

	var calls, rejected atomic.Int64
	ask := func(rnd *rand.Rand, path string) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, server.url()+path, strings.NewReader("payload"))
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
	var wg sync.WaitGroup
	total := int64(leakCalls())
	for i := range callers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(1, uint64(i)))
			paths := []string{"ok", "ok", "ok", "ok", "500", "500", "429", "truncated", "hangup"}
			for calls.Add(1) <= total {
				path := paths[rnd.IntN(len(paths))]
				switch err := ask(rnd, path); {
				case ctx.Err() != nil:
					t.Error("a call waits for a connection that does not come back: ", err)
					return
				case strings.Contains(fmt.Sprint(err), "breaker: "):
					rejected.Add(1)
				}
			}
		})
	}
	wg.Wait()

	sum := tally[0].Load() + tally[1].Load() + tally[2].Load()
	assert.Equal(t, total, sum+rejected.Load(), "every call is reported once, or rejected")
	assert.NotZero(t, rejected.Load())
	for o := range tally {
		assert.NotZero(t, tally[o].Load(), breaker.Outcome(o))
	}
	t.Logf("%d calls: %d successes, %d failures, %d ignored, %d rejected; %d requests", total,
		tally[breaker.Success].Load(), tally[breaker.Failure].Load(), tally[breaker.Ignored].Load(), rejected.Load(), server.requests.Load())
	assert.Zero(t, transport.Group().Get(server.addr).Snapshot().Probes)
}
