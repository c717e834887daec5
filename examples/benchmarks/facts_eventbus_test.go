package main

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// What .github/COMPARED.md says of each bus in its rows in italics, shown by
// running it.

// tries are many more than it takes for what depends on the scheduler to show.
const tries = 100_000

// orders are what subscribers see of publishers that publish n events each.
// Handlers dawdle, so that events meet.
func orders(t *testing.T, m medium, subscribers, publishers, n int) [][]int {
	t.Helper()
	journals := make([]*journal, subscribers)
	for i := range journals {
		journals[i] = newJournal()
		m.subscribe("a", func(v int) {
			if rand.IntN(2) == 0 {
				runtime.Gosched()
			}
			journals[i].add(v)
		})
	}
	var publishing sync.WaitGroup
	for p := range publishers {
		publishing.Go(func() {
			for i := range n {
				must(m.publish("a", p*n+i))
			}
		})
	}
	publishing.Wait()
	seen := make([][]int, subscribers)
	for i, j := range journals {
		seen[i] = j.after(t, publishers*n)
	}
	m.close()
	return seen
}

// Whether a subscriber sees the events of one publisher in their order.
func TestFactOrderOfAPublisher(t *testing.T) {
	want := map[string]bool{
		"mainstay": true, "watermill": false, "tailscale": true,
		sync1: true, async: false, turns: true,
		"cskr": true, "ro": true,
	}
	for name, kept := range want {
		t.Run(name, func(t *testing.T) {
			holds := func() bool { return slices.IsSorted(orders(t, media(1)[name](), 1, 1, 50)[0]) }
			assert.Equal(t, kept, always(holds, kept))
		})
	}
}

// Whether all subscribers see the events of several publishers in one order.
func TestFactOneOrder(t *testing.T) {
	want := map[string]bool{
		"mainstay": true, "watermill": false, "tailscale": true,
		sync1: true, async: false, turns: false, "cskr": true, "ro": true,
	}
	for name, kept := range want {
		t.Run(name, func(t *testing.T) {
			holds := func() bool {
				seen := orders(t, media(1)[name](), 2, 2, 25)
				return slices.Equal(seen[0], seen[1])
			}
			assert.Equal(t, kept, always(holds, kept))
		})
	}
}

// always tries to find an exception, harder if there has to be one.
func always(holds func() bool, expected bool) bool {
	n := tries
	if expected {
		n = 20
	}
	for range n {
		if !holds() {
			return false
		}
	}
	return true
}

// Whom a handler that is stuck holds up: how many of 100 events are accepted for
// it, where there is a limit it is 10; and whether those of another topic come to
// their handler.
func TestFactStuckHandler(t *testing.T) {
	const room, all = 10, 100
	type holdsUp struct {
		accepted   int64
		otherTopic bool
	}
	eachMedium(t, room, map[string]holdsUp{
		"mainstay":  {1 + room, true}, // one is being handled
		"watermill": {all, true},
		"tailscale": {all, true},
		sync1:       {0, false},
		async:       {all, true},
		turns:       {1, true},
		"cskr":      {1 + room + 1, false}, // one more stops the goroutine of the bus
		"ro":        {0, true},
	}, func(t *testing.T, m medium, want holdsUp) {
		gate, other := make(chan struct{}), make(chan int, 1)
		started := make(chan struct{}, all)
		m.subscribe("a", func(int) {
			started <- struct{}{}
			<-gate
		})
		m.subscribe("b", func(v int) { other <- v })
		var accepted atomic.Int64
		steps, done := make(chan struct{}, all), make(chan struct{})
		go func() {
			defer close(done)
			for i := range all {
				must(m.publish("a", i))
				accepted.Add(1)
				steps <- struct{}{}
			}
		}()
		require.True(t, comes(started, true))
		for range want.accepted {
			require.True(t, comes(steps, true))
		}
		assert.Equal(t, want.accepted == all, comes(done, want.accepted == all))
		assert.Equal(t, want.accepted, accepted.Load())
		go func() { must(m.publish("b", 1)) }()
		assert.Equal(t, want.otherTopic, comes(other, want.otherTopic))
		close(gate)
		<-done
	})
}

// Whether there is a goroutine for each event that waits. In bubbles, so that
// those of one bus have ended when the next comes.
func TestFactGoroutinesOfABacklog(t *testing.T) {
	const backlog = 500
	for name, want := range map[string]bool{
		"mainstay": false, "watermill": true, "tailscale": false, async: true, "cskr": false,
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := media(backlog)[name]()
				gate := make(chan struct{})
				m.subscribe("a", func(int) { <-gate })
				before := goroutines()
				for i := range backlog {
					must(m.publish("a", i))
				}
				assert.Equal(t, want, goroutines()-before > backlog/2)
				close(gate)
				m.close()
			})
		})
	}
}

// goroutines stops the world to count them, so that none is counted that has come
// to its end.
func goroutines() int {
	stacks := make([]byte, 1<<23)
	return bytes.Count(stacks[:runtime.Stack(stacks, true)], []byte("\ngoroutine "))
}

// Whether a handler may publish to its own topic: three events, with room for
// one and for ten, where there is a limit.
func TestFactPublishFromAHandler(t *testing.T) {
	for room, want := range map[int]map[string]bool{
		10: {"mainstay": true, "watermill": true, "tailscale": true, sync1: false, async: true, turns: false, "cskr": true, "ro": false},
		1:  {"watermill": true, "cskr": false},
	} {
		eachMedium(t, room, want, func(t *testing.T, m medium, want bool) {
			seen := make(chan int, 10)
			m.subscribe("a", func(v int) {
				if v == 0 {
					for i := range 3 {
						must(m.publish("a", 1+i))
					}
				}
				seen <- v
			})
			go func() { must(m.publish("a", 0)) }()
			for range 4 {
				if !comes(seen, want) {
					assert.False(t, want)
					return
				}
			}
			assert.True(t, want)
			m.close()
		})
	}
}

// Without room for what it publishes a handler of ours is told.
func TestFactPublishFromAHandlerMainstay(t *testing.T) {
	ctx := context.Background()
	bus := eventbus.MustNew(eventbus.Config{})
	x := eventbus.MustNewTopic[int](bus, "x", eventbus.TopicConfig{Capacity: 1})
	told := make(chan error, 1)
	_, err := x.Subscribe(ctx, func(ctx context.Context, v int) error {
		if v == 0 {
			told <- errors.Join(x.Publish(ctx, 1), x.Publish(ctx, 2))
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, x.Publish(ctx, 0))
	assert.ErrorIs(t, <-told, eventbus.ErrWouldDeadlock)
	require.NoError(t, bus.Close(ctx))
}

// What becomes of a handler that panics at the first of two events.
func TestFactPanic(t *testing.T) {
	for name, want := range map[string]string{
		"mainstay": "goes on", sync1: "is the publisher's", "ro": "goes on",
		"tailscale": "ends the program", async: "ends the program", turns: "ends the program",
	} {
		t.Run(name, func(t *testing.T) {
			if want == "ends the program" {
				assert.True(t, crashes(t, name))
				return
			}
			m := media(10)[name]()
			j := newJournal()
			m.subscribe("a", func(v int) {
				if v == 0 {
					panic("the handler")
				}
				j.add(v)
			})
			got := "goes on"
			if v := panics(func() { must(m.publish("a", 0)) }); v != nil {
				assert.Equal(t, "the handler", v)
				got = "is the publisher's"
			}
			must(m.publish("a", 1))
			assert.Equal(t, []int{1}, j.after(t, 1))
			assert.Equal(t, want, got)
		})
	}
}

// victim is the variable that has a process of this test die.
const victim = "FACT_OF_A_PANIC"

// crashes reports whether a process ends by the panic of a handler.
func crashes(t *testing.T, name string) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestFactPanicOfAVictim$")
	cmd.Env = append(os.Environ(), victim+"="+name)
	out, err := cmd.CombinedOutput()
	return err != nil && strings.Contains(string(out), "panic: the handler")
}

func TestFactPanicOfAVictim(*testing.T) {
	if name := os.Getenv(victim); name != "" {
		m := media(10)[name]()
		m.subscribe("a", func(int) { panic("the handler") })
		must(m.publish("a", 0))
		time.Sleep(patience)
	}
}
