package registry_test

import (
	"bytes"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// However many verbs come at once, the hook of a service sees its changes one at
// a time, in order of index, and each begins where the last one of its ID ended.
func TestG38_InOrderOfIndex(t *testing.T) {
	const workers, rounds, services = 8, 200, 2
	var running [services]atomic.Int32
	var last [services]uint64
	state := make([]map[string]*registry.Endpoint, services)
	for i := range state {
		state[i] = make(map[string]*registry.Endpoint)
	}
	r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
		s := c.Service[0] - '0'
		assert.EqualValues(t, 1, running[s].Add(1), "two at once")
		assert.GreaterOrEqual(t, c.Index, last[s])
		assert.Same(t, state[s][c.ID], c.Before)
		last[s], state[s][c.ID] = c.Index, c.After
		running[s].Add(-1)
	}}})
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := range rounds {
				in := instanceOf(fmt.Sprint(i%services), fmt.Sprint((i*7+w)%5))
				in.Version = fmt.Sprint(w)
				l, err := r.Register(bg, in)
				if !assert.NoError(t, err) {
					return
				}
				_ = l.SetHealth(registry.Health(1+i%3), "")           // it may be somebody else's by now
				_ = r.SetHealth(bg, in.Service, in.ID, 0, "")         // or gone
				_ = r.Deregister(bg, in.Service, fmt.Sprint((i+w)%5)) // likewise
			}
		})
	}
	wg.Wait()
	for i, ids := range state {
		s := r.Service(fmt.Sprint(i)).Snapshot()
		for id, e := range ids {
			now, ok := s.Get(id)
			assert.Equal(t, e != nil, ok)
			if ok {
				assert.Equal(t, e.Health(), now.Health())
				assert.Equal(t, e.Version(), now.Version())
			}
		}
	}
}

// When a verb returns its hooks have run. They are told what the snapshots show.
func TestG38_WhatAChangeTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var all []registry.Change
		r = newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			all = append(all, c)
			assert.Equal(t, time.Now(), c.At)
			s := r.Service(c.Service).Snapshot()
			assert.GreaterOrEqual(t, s.Index(), c.Index, "it is visible")
			e, ok := s.Get(c.ID)
			assert.Equal(t, c.After != nil, ok)
			if ok {
				assert.Same(t, c.After, e)
			}
		}}})
		l := register(t, r, instance("a"))
		time.Sleep(time.Second)
		in := instance("a")
		in.Version = "2"
		require.NoError(t, l.Update(in))
		require.NoError(t, l.SetHealth(registry.Warning, "slow"))
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, instance("b"), instance("c"))
		require.NoError(t, err)
		require.NoError(t, l.Deregister())
		var got []string
		for i, c := range all {
			before, after := "-", "-"
			if c.Before != nil {
				before = c.Before.Version() + c.Before.Health().String()
			}
			if c.After != nil {
				after = c.After.Version() + c.After.Health().String()
			}
			got = append(got, fmt.Sprint(c.Service, " ", c.ID, " ", c.Reason, " ", before, " ", after))
			if i > 0 {
				assert.Equal(t, c.ID != "c", c.Index > all[i-1].Index, "a batch has one index")
			}
		}
		assert.Equal(t, []string{
			"orders a registered - passing",
			"orders a updated passing 2passing",
			"orders a health 2passing 2warning",
			"orders b registered - passing",
			"orders c registered - passing",
			"orders a deregistered 2warning -",
		}, got)
	})
}

// No lock is held while a hook runs: it may call all of the registry.
func TestG38_AHookMayCallEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r *registry.Registry
		var all []string
		r = newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			all = append(all, fmt.Sprint(c.Reason, " ", c.ID))
			if c.ID != "a" || c.Reason != registry.ReasonRegistered {
				return
			}
			for range r.Services() {
			}
			s, err := r.Service("orders").Wait(bg, 0)
			assert.NoError(t, err)
			assert.Equal(t, 1, s.Len())
			for u, err := range r.Service("orders").Watch(bg) {
				assert.NoError(t, err)
				assert.True(t, u.Reset)
				break
			}
			l, err := r.Register(bg, leased("b", time.Minute))
			assert.NoError(t, err)
			assert.NoError(t, l.Renew())
			assert.NoError(t, l.SetHealth(registry.Warning, ""))
			assert.NoError(t, l.Update(leased("b", time.Hour)))
			assert.NoError(t, l.Drain(bg))
			_, err = r.RegisterWith(bg, registry.RegisterConfig{}, instance("c"), instanceOf("other", "o"))
			assert.NoError(t, err)
			assert.NoError(t, r.SetHealth(bg, "orders", "c", registry.Down, ""))
			assert.NoError(t, r.Drain(bg, "orders", "c"))
			var b bytes.Buffer
			assert.NoError(t, r.Export(&b))
			_, err = r.Import(bg, &b, 0)
			assert.NoError(t, err)
			assert.Zero(t, r.Sweep())
			assert.Equal(t, 2, r.Stats().Instances)
			assert.NoError(t, r.Deregister(bg, "orders", "a"))
			assert.Len(t, all, 2, "its own changes come later, and those of others at once")
		}}})
		l := register(t, r, instance("a"))
		lost(t, l, registry.ErrLeaseLost)
		assert.Equal(t, []string{
			"registered a", "registered o",
			"registered b", "health b", "updated b", "health b", "drained b",
			"registered c", "health c", "drained c", "deregistered a",
		}, all)
	})
}

// While a hook of a service is slow, verbs of the same service leave what they
// have to tell with it, and are not held up. Other services are not concerned.
func TestG38_ASlowHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []string
		proceed := make(chan struct{})
		r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			mu.Lock()
			all = append(all, c.Service+" "+c.ID)
			mu.Unlock()
			if c.ID == "first" {
				<-proceed
			}
		}}})
		took := func() []string {
			mu.Lock()
			defer mu.Unlock()
			got := all
			all = nil
			return got
		}
		first := async(func() error {
			_, err := r.Register(bg, instance("first"))
			return err
		})
		synctest.Wait()
		assert.Equal(t, []string{"orders first"}, took())
		l := register(t, r, instance("second"))
		require.NoError(t, l.Deregister())
		register(t, r, instance("third"))
		register(t, r, instanceOf("other", "o"))
		assert.Equal(t, []string{"other o"}, took())
		assert.Equal(t, []string{"first", "third"}, present(r.Service("orders")), "all is visible")
		nothing(t, first)
		close(proceed)
		require.NoError(t, received(t, first))
		assert.Equal(t, []string{"orders second", "orders second", "orders third"}, took())
	})
}

// readers are all that read, in a registry with service "orders".
var readers = map[string]func(t *testing.T, r *registry.Registry){
	"Get":      func(_ *testing.T, r *registry.Registry) { r.Service("orders").Get("a") },
	"Snapshot": func(_ *testing.T, r *registry.Registry) { r.Service("orders").Snapshot() },
	"Services": func(_ *testing.T, r *registry.Registry) {
		for range r.Services() {
		}
	},
	"Wait": func(t *testing.T, r *registry.Registry) {
		_, err := r.Service("orders").Wait(bg, 0)
		require.NoError(t, err)
	},
	"Watch": func(t *testing.T, r *registry.Registry) {
		for _, err := range r.Service("orders").Watch(bg) {
			require.NoError(t, err)
			break
		}
	},
	"Stats": func(_ *testing.T, r *registry.Registry) { r.Stats() },
	"Export": func(t *testing.T, r *registry.Registry) {
		var b strings.Builder
		require.NoError(t, r.Export(&b))
	},
}

// A read that notices an expiry does not run the hook for it: it returns while
// the hook blocks.
func TestG38_AReadRunsNoHook(t *testing.T) {
	bubbles(t, readers, func(t *testing.T, read func(*testing.T, *registry.Registry)) {
		c := newHandClock()
		called, proceed := make(chan registry.Change, 10), make(chan struct{})
		r := newRegistry(t, registry.Config{Clock: c, Hooks: registry.Hooks{Change: func(c registry.Change) {
			if c.Reason == registry.ReasonExpired {
				called <- c
				<-proceed
			}
		}}})
		register(t, r, leased("a", 10*time.Second))
		c.sleep(10 * time.Second) // and no timer runs
		done := make(chan struct{})
		go func() {
			defer close(done)
			read(t, r)
		}()
		received(t, done)
		assert.Equal(t, "a", received(t, called).ID)
		read(t, r)
		nothing(t, called)
		close(proceed)
	})
}

// A hook that blocks does not keep other services from expiring in time.
func TestG38_TimersDoNotWaitForHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		proceed := make(chan struct{})
		gone := newLog(nil)
		r := newRegistry(t, registry.Config{Hooks: registry.Hooks{Change: func(c registry.Change) {
			if c.Reason == registry.ReasonExpired && c.Service == "orders" {
				<-proceed
			} else if c.Reason == registry.ReasonExpired {
				gone.add()
			}
		}}})
		in := instanceOf("other", "b")
		in.TTL = 11 * time.Second
		register(t, r, in)
		register(t, r, leased("a", 10*time.Second))
		time.Sleep(time.Minute)
		assert.Equal(t, seconds(11), gone.take())
		close(proceed)
	})
}

// Every hook may panic: that is counted, reported to Fault, and what comes next is
// told all the same. A panic of Fault is only counted.
func TestG38_PanicsAreContained(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults []any
		var told []string
		say := func(name string) {
			told = append(told, name)
			panic(name)
		}
		r := newRegistry(t, registry.Config{
			Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.5, Window: time.Hour},
			Hooks: registry.Hooks{
				Change:       func(c registry.Change) { say(fmt.Sprint(c.Reason, " ", c.ID)) },
				Preservation: func(p registry.Preservation) { say(fmt.Sprint("preservation ", p.Active)) },
				FeedState:    func(s registry.FeedState) { say(fmt.Sprint("feed ", s.Connected)) },
				Fault: func(p *registry.PanicError) {
					faults = append(faults, p.Value)
					assert.NotEmpty(t, p.Stack)
					panic("fault")
				},
			},
		})
		register(t, r, leased("a", 10*time.Second))
		l := register(t, r, leased("b", 10*time.Second))
		time.Sleep(10 * time.Second)
		synctest.Wait()
		require.NoError(t, l.Renew())
		require.NoError(t, l.Deregister())
		p, stop := feed(t, r, "f")
		p.put(0, instance("c"))
		stop()
		want := []string{
			"registered a", "registered b",
			"expired a", "health b", "preservation true",
			"preservation false", "health b", "deregistered b",
			"registered c", "feed true", "withdrawn c", "feed false",
		}
		assert.Equal(t, want, told)
		require.Len(t, faults, len(want))
		for i, v := range faults {
			assert.Equal(t, want[i], v)
		}
		assert.EqualValues(t, 2*len(want), r.Stats().Panics, "and those of Fault")
	})
}

// A hook that calls runtime.Goexit ends the goroutine that it is on, and nothing
// else: all that was to be told is told, and nothing stays locked.
func TestG38_Goexit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told []string
		var faults []*registry.PanicError
		r := newRegistry(t, registry.Config{Hooks: registry.Hooks{
			Change: func(c registry.Change) {
				told = append(told, fmt.Sprint(c.Service, " ", c.Reason, " ", c.ID))
				runtime.Goexit()
			},
			Fault: func(p *registry.PanicError) {
				faults = append(faults, p)
				runtime.Goexit()
			},
		}})
		for _, verb := range []func() error{
			func() error {
				_, err := r.RegisterWith(bg, registry.RegisterConfig{}, instance("a"), instance("b"), instanceOf("other", "c"), leased("d", time.Minute))
				return err
			},
			func() error { return r.SetHealth(bg, "orders", "a", registry.Warning, "") },
			func() error { return r.Drain(bg, "orders", "a") }, // ends with the hook for Draining
			func() error { return r.Drain(bg, "orders", "a") }, // goes on with it
			func() error { return r.Deregister(bg, "orders", "b") },
		} {
			nothing(t, async(verb)) // its goroutine has ended
		}
		time.Sleep(time.Minute) // an expiry that a timer notices
		synctest.Wait()
		assert.Equal(t, []string{
			"orders registered a", "orders registered b", "orders registered d", "other registered c",
			"orders health a", "orders health a", "orders drained a", "orders deregistered b", "orders expired d",
		}, told)
		assert.Len(t, faults, len(told))
		for _, p := range faults {
			assert.Equal(t, registry.PanicError{Goexit: true}, *p)
		}
		assert.EqualValues(t, 2*len(told), r.Stats().Panics)
	})
}
