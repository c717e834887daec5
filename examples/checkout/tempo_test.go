package main

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// Whatever the length of the script, what has to be longer than something else is.
func TestTempo(t *testing.T) {
	for _, length := range []time.Duration{leastTime, time.Second, usualTime, time.Minute, mostTime} {
		p := tempo{length}
		for name, held := range map[string]bool{
			"a step waits for two instances, and for a third one":         p.patience() >= 2*p.attempt() && p.attempt() > 0,
			"who is slow is slower than the patience of a step":           p.slowness() > p.patience(),
			"a lease survives a missed beat":                              p.lease() >= 2*p.patience(),
			"an attempt comes again before a step is given up":            10*p.wait() < p.patience(),
			"a breaker lets somebody try again before the lease is over":  p.open() < p.lease(),
			"a breaker looks back further than it takes to answer late":   p.window() > p.attempt(),
			"a fault by hand is seen: it opens breakers, and they change": p.hold() > p.open() && p.hold() > p.window()/2,
			"who has died comes back":                                     p.down() > 0 && p.down() < p.hold(),
		} {
			assert.True(t, held, "%v: %s", length, name)
		}
	}
	assert.Equal(t, 400*time.Millisecond, tempo{usualTime}.patience())
	assert.Equal(t, 3*time.Second, tempo{time.Second}.part(3, time.Millisecond))
	assert.Equal(t, time.Minute, tempo{time.Second}.part(3, time.Minute))
}
