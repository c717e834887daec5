package registryhttp_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A balancer that somebody has is that of the transport from then on, also if at
// this moment a request finds that there are no instances, for which the transport
// keeps nothing.
func TestRegression_BalancerIsThatOfRequests(t *testing.T) {
	var f *fixture
	made := 0
	f = newFixture(t, answer(http.StatusOK, "good"), nil, func(cfg *registryhttp.TransportConfig) {
		cfg.PerService = func(string) balance.Config {
			if made++; made == 1 {
				over := make(chan error)
				go func() {
					_, err := f.RoundTrip(get(t))
					over <- err
				}()
				assert.ErrorIs(t, <-over, balance.ErrNoInstances)
			}
			return balance.Config{}
		}
	})
	lb, err := f.Balancer(orders)
	require.NoError(t, err)
	again, err := f.Balancer(orders)
	require.NoError(t, err)
	assert.Same(t, lb, again)
	register(t, f.reg, instance("a"))
	resp, err := f.RoundTrip(get(t))
	finish(t, resp, err)
	assert.EqualValues(t, 1, f.reg.Service(orders).Snapshot().At(0).Picks())
	again, err = f.Balancer(orders)
	require.NoError(t, err)
	assert.Same(t, lb, again)
}
