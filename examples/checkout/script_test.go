package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The same seed gives the same, whatever was asked before; another one something else.
func TestScript_isAFunction(t *testing.T) {
	var ids []Order
	for i := range 200 {
		ids = append(ids, Order{ID: fmt.Sprint("order ", i)})
	}
	told := func(s script) (all [4]string) {
		for _, o := range ids {
			all[0] += fmt.Sprint(s.refusal(o.ID))
		}
		all[1] = fmt.Sprint(s.acts(time.Minute))
		all[2] = fmt.Sprint(s.shuffle(ids))
		next := s.random("x")
		all[3] = fmt.Sprint(next(), next(), next())
		return all
	}
	first := told(script{3})
	slices.Reverse(ids)
	_ = told(script{3})
	slices.Reverse(ids)
	assert.Equal(t, first, told(script{3}))
	for i, other := range told(script{4}) {
		assert.NotEqual(t, first[i], other, i)
	}
	assert.NotEqual(t, script{3}.random("x")(), script{3}.random("y")())
}

// Every order comes once, and not in the order of the file.
func TestScript_shuffle(t *testing.T) {
	orders := someOrders(t, 0, 50)
	before := slices.Clone(orders)
	got := script{1}.shuffle(orders)
	assert.Equal(t, before, orders)
	assert.NotEqual(t, orders, got)
	assert.ElementsMatch(t, orders, got)
}

// Some of a hundred orders are refused, each for one reason, by a service that has the
// resource.
func TestScript_refusal(t *testing.T) {
	met := make(map[refusal]int)
	for i := range 5000 {
		met[script{1}.refusal(fmt.Sprint("order ", i))]++
	}
	for _, r := range refusals {
		assert.InDelta(t, 50*r.percent, met[r.refusal], 60, "%v", r.refusal)
		assert.NotEmpty(t, home(r.refusal.resource))
		delete(met, r.refusal)
	}
	assert.InDelta(t, 5000*78/100, met[refusal{}], 150)
	assert.Len(t, met, 1)
}

// Every seed has the same acts, one after the other, within the script, and of
// instances that there are.
func TestScript_acts(t *testing.T) {
	const length = time.Second
	known := map[string]bool{instanceID(office, 1): true}
	for _, s := range services {
		for n := range s.instances {
			known[instanceID(s.name, n+1)] = true
		}
	}
	orders, struck := make(map[string]bool), make(map[string]bool)
	for seed := uint64(1); seed <= 200; seed++ {
		acts := script{seed}.acts(length)
		require.Len(t, acts, 6, "seed %d", seed)
		kinds := make(map[string]int)
		last := length * 8 / 100
		order := ""
		for _, a := range acts {
			assert.GreaterOrEqual(t, a.from, last, "seed %d: they overlap", seed)
			assert.Greater(t, a.to, a.from+length/20, "seed %d: it takes some time", seed)
			last = a.to
			of, _, _ := strings.Cut(a.instances[0], "-")
			kind := fmt.Sprintf("%s %s %d", a.fault, of, len(a.instances))
			kinds[kind]++
			order += kind
			seen := make(map[string]bool)
			for _, id := range a.instances {
				assert.True(t, known[id], "seed %d: %s", seed, id)
				assert.False(t, seen[id], "seed %d: %s twice", seed, id)
				assert.True(t, strings.HasPrefix(id, of), "seed %d: %s", seed, id)
				seen[id], struck[string(a.fault)+" "+id] = true, true
			}
		}
		assert.LessOrEqual(t, last, length*92/100, "seed %d", seed)
		assert.Equal(t, map[string]int{
			"slow payment 1": 1, "storm shipping 1": 1, "kill payment 1": 1, "late stock 1": 1, "kill orders 1": 1, "storm payment 3": 1,
		}, kinds, "seed %d", seed)
		orders[order] = true
		for i, a := range (script{seed}).acts(10 * length) {
			assert.InDelta(t, 10*acts[i].from, a.from, 20, "seed %d: of a longer script the same", seed)
			assert.InDelta(t, 10*acts[i].to, a.to, 20, "seed %d", seed)
			assert.Equal(t, acts[i].instances, a.instances)
		}
	}
	assert.Greater(t, len(orders), 100, "orders of the acts")
	for _, of := range []string{"slow payment-%d", "kill payment-%d"} {
		for n := 1; n <= 3; n++ {
			assert.True(t, struck[fmt.Sprintf(of, n)], of, n)
		}
	}
	assert.True(t, struck["storm shipping-1"] && struck["storm shipping-2"])
	for _, s := range []string{"slow", "kill"} {
		assert.False(t, struck[s+" stock-1"], "it is the only one")
	}
}
