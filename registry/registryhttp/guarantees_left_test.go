package registryhttp_test

import (
	"context"
	"io"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// G43: the outcome of an attempt that is followed by another one is what made
// that necessary. That the caller gives up later, while the earlier response is
// drained, takes nothing back.
func TestG43_CallerLeavesWhileEarlierOneIsDrained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newStalled()
		f := newFixture(t, network{
			"a": deliver(503, func() io.ReadCloser { return body }, -1),
			"b": fail(context.Canceled),
		}, named("a", "b"))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			_, err := f.RoundTrip(get(t).WithContext(ctx))
			assert.ErrorIs(t, err, context.Canceled)
		}()
		synctest.Wait()
		cancel()
		<-done
		assert.Equal(t, []string{"a failure", "b ignored"}, f.outcomes())
		assert.EqualValues(t, 1, f.member(t, "a").Failures)
	})
}

// G43: nor does it take anything back if he gives up while the next is picked.
func TestG43_CallerLeavesWhileTheNextIsPicked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFixture(t, network{
		"a": fail(errReset),
		"b": func(*http.Request) (*http.Response, error) { return nil, context.Canceled },
	}, named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		gate := cfg.Balancer.Gate
		cfg.Balancer.Gate = func(e *registry.Endpoint) balance.Gate {
			g := gate(e)
			if e.ID() != "b" {
				return g
			}
			return balance.GateFunc(func(ctx context.Context) (func(error), error) {
				cancel()
				return g.Allow(ctx)
			})
		}
	})
	_, err := f.RoundTrip(get(t).WithContext(ctx))
	require.Error(t, err)
	assert.Equal(t, []string{"a failure", "b ignored"}, f.outcomes())
	assert.EqualValues(t, 1, f.member(t, "a").Failures)
}

// G43: nor if he gives up while it is decided whether there is a next one, so that
// there is none.
func TestG43_CallerLeavesWhileRetryIfIsAsked(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	f := newFixture(t, fail(errReset), named("a", "b"), func(cfg *registryhttp.TransportConfig) {
		cfg.Balancer.Retry.If = func(error) bool { cancel(); return true }
	})
	_, err := f.RoundTrip(get(t).WithContext(ctx))
	require.ErrorIs(t, err, errReset)
	assert.Equal(t, []string{"a failure"}, f.outcomes())
}
