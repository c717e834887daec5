package balance_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// G30: an endpoint that becomes ripe slowly gets each of its keys once, and none
// of them goes back; what is not its own does not move.
func TestG30_slowStartMovesAKeyOnce(t *testing.T) {
	keys := userKeys(2000)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			ins := numbered(5)
			registerAll(t, r, ins...)
			clk.pass(ramp)
			b := newBalancer(t, r, balance.Config{Policy: policy, SlowStart: ramp})
			setHealth(t, r, "i002", registry.Critical)
			without := homes(t, b, keys)
			setHealth(t, r, "i002", 0)
			last, owned := without, 0
			for step := range 11 {
				now := homes(t, b, keys)
				assert.Equal(t, now, homes(t, b, keys), "the same instant, the same answers")
				for _, i := range differing(last, now) {
					require.Equal(t, "i002", now[i], "at %d0%% key %d left %s", step, i, last[i])
				}
				for _, i := range differing(without, now) {
					require.Equal(t, "i002", now[i])
				}
				owned = counts(now)["i002"]
				// Shares by key, of about 400 keys: 10% of them is far off.
				want := max(0.1, float64(step)/10) * float64(len(keys)) / 5
				assert.InDelta(t, want, owned, 60, "at %d0%%", step)
				last = now
				clk.pass(ramp / 10)
			}
			require.Positive(t, owned)
			_, all := with(t, balance.Config{Policy: policy}, ins...)
			assert.Equal(t, homes(t, all, keys), last, "ripe, it has all that is its own")
		})
	}
}

// G30, G33: also while most members are ramping a key has one endpoint, and the
// few that are ripe get what the others are not ready for.
func TestG30_slowStartOfMany(t *testing.T) {
	keys := userKeys(2000)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			ins := numbered(22)
			registerAll(t, r, ins[:2]...)
			clk.pass(ramp)
			registerAll(t, r, ins[2:]...)
			b := newBalancer(t, r, balance.Config{Policy: policy, SlowStart: ramp, Rand: seeded(30)})
			now := homes(t, b, keys)
			assert.Empty(t, differing(now, homes(t, b, keys)), "the same instant, other answers")
			chosen := counts(now)
			ripe := chosen["i000"] + chosen["i001"]
			// Each of 20 newcomers may have a tenth of a 22nd.
			assert.InDelta(t, len(keys)-len(keys)*20/220, ripe, float64(len(keys))*0.05)
		})
	}
}

// G30, G36: the attempts of a key are the same ones each time, also while others
// are ramping.
func TestG30_slowStartOfAttempts(t *testing.T) {
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			register(t, r, instance("ripe"))
			clk.pass(ramp)
			registerAll(t, r, numbered(3)...)
			clk.pass(ramp / 2)
			b := newBalancer(t, r, balance.Config{Policy: policy, SlowStart: ramp, Retry: balance.Retry{Attempts: 2, Budget: -1}})
			for _, key := range userKeys(300) {
				first, again := attempts{fail: 99}, attempts{fail: 99}
				_, _ = balance.DoWith(bg, b, balance.Query{Key: key}, first.call)
				_, _ = balance.DoWith(bg, b, balance.Query{Key: key}, again.call)
				require.Equal(t, first.ids, again.ids)
			}
		})
	}
}

// G30: zones do not make a key go to and fro: while the share of picks that stay
// stands, a key has one endpoint, and as it falls keys only leave.
func TestG30_zones(t *testing.T) {
	keys := userKeys(3000)
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			var ins []registry.Instance
			for i := range 10 {
				ins = append(ins, zoned(fmt.Sprint("h", i), "home"), zoned(fmt.Sprint("x", i), "away"))
			}
			r, b := with(t, balance.Config{Policy: policy, Zone: "home", SpillBelow: 1, PanicThreshold: -1}, ins...)
			at := func(list []string) []bool {
				all := make([]bool, len(list))
				for i, id := range list {
					all[i] = id[0] == 'h'
				}
				return all
			}
			last := at(homes(t, b, keys))
			assert.NotContains(t, last, false)
			for i := range 9 {
				setHealth(t, r, fmt.Sprint("h", i), registry.Critical)
				first := homes(t, b, keys)
				assert.Equal(t, first, homes(t, b, keys))
				now, stay := at(first), 0
				for k := range now {
					require.False(t, now[k] && !last[k], "key %d came home though less is left of it", k)
					if now[k] {
						stay++
					}
				}
				assert.InDelta(t, float64(9-i)/10, float64(stay)/float64(len(keys)), 0.03)
				last = now
			}
		})
	}
}

// G33: an endpoint that ramps does without some of its keys at first; which ones
// is another matter with every endpoint. Otherwise it would be the same users
// whom every restart of a fleet sends to and fro.
func TestG33_WhichKeysAreHeldBack(t *testing.T) {
	for name, policy := range hashes() {
		t.Run(name, func(t *testing.T) {
			clk := newHandClock()
			r := newRegistry(t, registry.Config{Clock: clk})
			registerAll(t, r, numbered(4)...)
			b := newBalancer(t, r, balance.Config{Policy: policy, SlowStart: ramp})
			clk.pass(ramp)
			keys := userKeys(8000)
			first := homes(t, b, keys)
			setHealth(t, r, "i000", registry.Critical)
			second := homes(t, b, keys)

			setHealth(t, r, "i000", 0)
			clk.pass(ramp / 2)
			of0 := homes(t, b, keys)
			clk.pass(ramp / 2)
			setHealth(t, r, "i000", registry.Critical)
			setHealth(t, r, "i001", registry.Critical)
			setHealth(t, r, "i001", 0)
			clk.pass(ramp / 2)
			of1 := homes(t, b, keys)

			n, held0, held1, both := 0.0, 0, 0, 0
			for i := range keys {
				if first[i] != "i000" || second[i] != "i001" {
					continue
				}
				n++
				switch a, b := of0[i] != "i000", of1[i] != "i001"; {
				case a && b:
					both++
				case a:
					held0++
				case b:
					held1++
				}
			}
			for _, got := range []int{both, held0, held1} {
				assert.InDelta(t, n/4, got, chance(n, 0.25), "%d by both, %d by one, %d by the other of %v", both, held0, held1, n)
			}
		})
	}
}
