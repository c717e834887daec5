package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

func TestFullScript(t *testing.T) {
	s := fullScript()
	seen := make(map[kind]int)
	least := time.Duration(0)
	for i, p := range s.phases {
		seen[p.kind]++
		least += time.Duration(p.calls) * s.every
		assert.Positive(t, p.calls, "phase %d", i)
		assert.NotEmpty(t, p.says, "phase %d", i)
		assert.LessOrEqual(t, len(p.name), 9, "phase %d: the table has no more room", i)
	}
	assert.Equal(t, map[kind]int{healthy: 3, slow: 1, recovering: 1, dying: 1, draining: 1}, seen)
	assert.Equal(t, healthy, s.phases[0].kind, "good health first")
	assert.Equal(t, healthy, s.phases[len(s.phases)-1].kind, "and last")
	assert.Less(t, least, 4*time.Second, "as it is told")

	_, err := breaker.New("", s.breaker)
	assert.NoError(t, err)
	r, err := registry.New(s.registry)
	assert.NoError(t, err)
	_, err = balance.New(r.Service(service), s.balancer)
	assert.NoError(t, err)
	assert.NoError(t, r.Close(t.Context()))
}

// The order of discoveries is not left to chance: the breaker needs no more
// failures than there are calls under way, and the check fails often enough
// before the lease can be over.
func TestFullScript_order(t *testing.T) {
	s := fullScript()
	assert.Equal(t, breaker.ConsecutiveFailures(s.underWay).String(), s.breaker.Trip.String())
	jitter := 1.1
	check := time.Duration(float64(s.check.Interval) * float64(s.check.FailuresBeforeCritical) * jitter)
	lastBeat := time.Duration(float64(s.ttl/3) * jitter)
	assert.Less(t, check, s.ttl-lastBeat)
	assert.GreaterOrEqual(t, s.balancer.Retry.Attempts, len(backendIDs))
	assert.Less(t, s.answer*time.Duration(s.slowness), s.balancer.Retry.AttemptTimeout, "slow is no failure")
	assert.Less(t, s.balancer.Retry.AttemptTimeout*2, s.limit)
}
