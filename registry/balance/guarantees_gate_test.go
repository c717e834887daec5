package balance_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

var errGate = errors.New("gate closed")

// A gateLog is gates that are closed for some IDs, and what they were told.
type gateLog struct {
	mu     sync.Mutex
	closed map[string]error
	asked  map[string]int
	told   map[string][]error
}

func newGateLog(closed ...string) *gateLog {
	l := &gateLog{closed: map[string]error{}, asked: map[string]int{}, told: map[string][]error{}}
	for _, id := range closed {
		l.closed[id] = errGate
	}
	return l
}

func (l *gateLog) gate(e *registry.Endpoint) balance.Gate {
	id := e.ID()
	return balance.GateFunc(func(context.Context) (func(error), error) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.asked[id]++
		if err := l.closed[id]; err != nil {
			return func(error) { panic("done of a refusal was called") }, err
		}
		return func(err error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.told[id] = append(l.told[id], err)
		}, nil
	})
}

func TestG35_ARefusalMovesOn(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		gates := newGateLog("b", "d")
		r, b := with(t, balance.Config{
			Policy: policy, Gate: gates.gate, Outlier: &balance.Outlier{Consecutive: 1},
		}, named("a", "b", "c", "d")...)
		assert.Equal(t, []string{"a", "c"}, keys(counts(sequence(t, b, 200))))
		assert.Positive(t, gates.asked["b"]+gates.asked["d"])
		for _, id := range []string{"b", "d"} {
			assert.Equal(t, balance.Member{Endpoint: endpoint(t, r, id), Usable: true}, members(b)[id], "a refusal is no failure")
			assert.Zero(t, endpoint(t, r, id).Picks())
			assert.Empty(t, gates.told[id])
		}
	})
}

func TestG35_AllRefuse(t *testing.T) {
	eachPolicy(t, func(t *testing.T, policy balance.Policy) {
		gates := newGateLog("a", "b")
		r, b := with(t, balance.Config{Policy: policy, Gate: gates.gate}, named("a", "b")...)
		gates.closed["b"] = errSick
		var last error
		for range 20 {
			_, err := b.Pick(bg)
			require.ErrorIs(t, err, balance.ErrNoInstances)
			var e *balance.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, orders, e.Service)
			last = e.Err
			require.True(t, last == errGate || last == errSick, "%v", last) //nolint:errorlint // as it is
			require.ErrorIs(t, err, last)
			assert.Contains(t, err.Error(), last.Error())
		}
		assert.Empty(t, inFlight(r))
		assert.Positive(t, gates.asked["a"])
		assert.Positive(t, gates.asked["b"])

		_, err := balance.Do(bg, b, answer)
		require.ErrorIs(t, err, balance.ErrNoInstances)
		_, err = b.Next(balance.Query{})
		require.NoError(t, err, "Next asks no gate")
	})
}

// What gates refused is told only if they are the reason.
func TestG35_ExcludedIsNotRefused(t *testing.T) {
	gates := newGateLog("a")
	r, b := with(t, balance.Config{Gate: gates.gate}, named("a", "b")...)
	_, err := b.PickWith(bg, balance.Query{Exclude: tried(endpoint(t, r, "a"), endpoint(t, r, "b"))})
	require.ErrorIs(t, err, balance.ErrNoInstances)
	require.NotErrorIs(t, err, errGate)
	assert.Empty(t, gates.asked)
}

func TestG35_DoneRunsOnce(t *testing.T) {
	errNotFound := errors.New("404")
	for name, c := range map[string]struct {
		err  error
		want []error
		end  func(p balance.Pick, err error)
	}{
		"success":     {nil, []error{nil}, balance.Pick.Done},
		"failure":     {errSick, []error{errSick}, balance.Pick.Done},
		"not serious": {errNotFound, []error{nil}, balance.Pick.Done},
		"cancelled":   {context.Canceled, []error{context.Canceled}, balance.Pick.Done},
		"DoneAfter":   {errSick, []error{errSick}, func(p balance.Pick, err error) { p.DoneAfter(err, 1) }},
		"Abandon":     {errSick, nil, func(p balance.Pick, _ error) { p.Abandon() }},
	} {
		t.Run(name, func(t *testing.T) {
			gates := newGateLog()
			_, b := with(t, balance.Config{
				Gate:      gates.gate,
				IsFailure: func(err error) bool { return errors.Is(err, errSick) },
			}, instance("a"))
			p := pick(t, b)
			assert.Empty(t, gates.told["a"])
			c.end(p, c.err)
			assert.Equal(t, c.want, gates.told["a"])
			p.Done(nil)
			assert.Equal(t, c.want, gates.told["a"])
		})
	}
}

// done may be nil, and so may a gate.
func TestG35_NilGates(t *testing.T) {
	asked := 0
	r, b := with(t, balance.Config{Gate: func(e *registry.Endpoint) balance.Gate {
		if e.ID() == "a" {
			return nil
		}
		return balance.GateFunc(func(context.Context) (func(error), error) { asked++; return nil, nil })
	}}, named("a", "b")...)
	for _, id := range []string{"a", "b"} {
		pickOf(t, b, id).Done(errSick)
	}
	assert.Equal(t, 1, asked)
	assert.Empty(t, inFlight(r))
}

// The context of the pick is the one the gate gets.
func TestG35_TheContextOfTheGate(t *testing.T) {
	type key struct{}
	var got any
	_, b := with(t, balance.Config{Gate: func(*registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) { got = ctx.Value(key{}); return nil, nil })
	}}, instance("a"))
	_, err := b.Pick(context.WithValue(bg, key{}, "mine"))
	require.NoError(t, err)
	assert.Equal(t, "mine", got)
}

// A gate is made once per endpoint, as long as that stays where it is.
func TestG35_GatesAreMadeOnce(t *testing.T) {
	made := map[string]int{}
	r, b := with(t, balance.Config{PanicThreshold: -1, Gate: func(e *registry.Endpoint) balance.Gate { made[e.Addr()]++; return nil }})
	in := instance("a")
	for i := range 10 {
		in.Weight = 1 + i
		register(t, r, in)
		setHealth(t, r, "a", registry.Health(i%2)*registry.Warning)
		pick(t, b).Done(nil)
	}
	assert.Equal(t, map[string]int{"10.0.0.1:80": 1}, made)
	in.Addr = "10.0.0.2:80"
	register(t, r, in)
	pick(t, b).Done(nil)
	assert.Equal(t, map[string]int{"10.0.0.1:80": 1, "10.0.0.2:80": 1}, made)
	deregister(t, r, "a")
	register(t, r, in)
	pick(t, b).Done(nil)
	assert.Equal(t, 2, made["10.0.0.2:80"], "another stay")
}

// It leaves while its gate says yes: nobody's failure, and not picked.
func TestG35_ItLeavesBetweenGateAndPick(t *testing.T) {
	for name, leave := range map[string]func(r *registry.Registry) error{
		"removed": func(r *registry.Registry) error { return r.Deregister(bg, orders, "a") },
		"drained": func(r *registry.Registry) error { return r.Drain(bg, orders, "a") },
		"Critical": func(r *registry.Registry) error {
			return r.SetHealth(bg, orders, "a", registry.Critical, "")
		},
	} {
		t.Run(name, func(t *testing.T) {
			var told []error
			r := newRegistry(t, registry.Config{})
			registerAll(t, r, named("a", "b")...)
			first := policyFunc(func(balance.Candidates, balance.Query, int) int { return 0 })
			b := newBalancer(t, r, balance.Config{PanicThreshold: -1, Policy: first, Gate: func(e *registry.Endpoint) balance.Gate {
				if e.ID() != "a" {
					return nil
				}
				return balance.GateFunc(func(context.Context) (func(error), error) {
					assert.NoError(t, leave(r))
					return func(err error) { told = append(told, err) }, nil
				})
			}})
			p := pick(t, b)
			assert.Equal(t, "b", p.Endpoint().ID())
			assert.Equal(t, []error{context.Canceled}, told)
			assert.Equal(t, map[string]int{"b": 1}, inFlight(r))
		})
	}
}

// A Filter that does not return excludes the endpoint, and is reported.
func TestG35_AFilterThatPanics(t *testing.T) {
	var log journal
	_, b := with(t, balance.Config{
		Hooks: log.hooks(),
		Filter: func(e *registry.Endpoint) bool {
			if e.ID() == "b" {
				panic(errSick)
			}
			return true
		},
	}, named("a", "b", "c")...)
	only(t, b, "a", "c")
	faults := log.faulted()
	require.Len(t, faults, 1)
	assert.Equal(t, errSick, faults[0].Value)
	assert.False(t, faults[0].Goexit)
	assert.Contains(t, string(faults[0].Stack), "TestG35_AFilterThatPanics")
	assert.Equal(t, uint64(1), b.Stats().Panics)
	assert.Equal(t, 2, b.Stats().Members)
}

// A Goexit ends the goroutine that picks, and nothing else.
func TestG35_AFilterThatExits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log journal
		exit := true
		_, b := with(t, balance.Config{
			Hooks: log.hooks(),
			Filter: func(e *registry.Endpoint) bool {
				if e.ID() == "b" && exit {
					exit = false
					runtime.Goexit()
				}
				return true
			},
		}, named("a", "b", "c")...)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = b.Pick(bg)
			assert.Fail(t, "Pick returned")
		}()
		<-ended
		faults := log.faulted()
		require.Len(t, faults, 1)
		assert.True(t, faults[0].Goexit)
		assert.Len(t, counts(sequence(t, b, 100)), 3, "nobody was asked again")
	})
}

// Panics of the rest of the user's code are the caller's, and leave everything as
// if there had been no pick.
func TestG35_OtherPanicsPropagate(t *testing.T) {
	var trouble string
	bang := func(where string) {
		if trouble == where {
			panic(errSick)
		}
	}
	gate := func(*registry.Endpoint) balance.Gate {
		bang("making a gate")
		return balance.GateFunc(func(context.Context) (func(error), error) {
			bang("the gate")
			return nil, nil
		})
	}
	for _, where := range []string{"making a gate", "the gate", "making a picker", "the picker", "Rand"} {
		t.Run(where, func(t *testing.T) {
			trouble = ""
			r, b := with(t, balance.Config{
				Gate: gate,
				Rand: func() uint64 { bang("Rand"); return 7 },
				Policy: policyMaker(func() balance.Picker {
					bang("making a picker")
					return pickerFunc(func(balance.Query, int) int { bang("the picker"); return -1 })
				}),
			}, named("a", "b")...)
			for range 3 {
				trouble = where
				require.Equal(t, errSick, panicOf(func() { _, _ = b.Pick(bg) }))
				assert.Empty(t, inFlight(r))
				trouble = ""
				register(t, r, instance("c")) // so that there is something to adapt to
				pick(t, b).Done(nil)
				deregister(t, r, "c")
				assert.Empty(t, inFlight(r))
				assert.Equal(t, 2, b.Stats().Members)
				deregister(t, r, "b")
				register(t, r, instance("b"))
			}
		})
	}
}

type policyMaker func() balance.Picker

func (f policyMaker) NewPicker(balance.Candidates, balance.Picker) balance.Picker { return f() }

// Whatever panics in Done, the call is over for everybody, the gate included.
func TestG35_PanicsInDone(t *testing.T) {
	for _, where := range []string{"IsFailure", "gate"} {
		t.Run(where, func(t *testing.T) {
			told := 0
			r, b := with(t, balance.Config{
				IsFailure: func(error) bool {
					if where == "IsFailure" {
						panic(errSick)
					}
					return true
				},
				Gate: func(*registry.Endpoint) balance.Gate {
					return balance.GateFunc(func(context.Context) (func(error), error) {
						return func(error) {
							told++
							if where == "gate" {
								panic(errSick)
							}
						}, nil
					})
				},
			}, instance("a"))
			p := pick(t, b)
			require.Equal(t, errSick, panicOf(func() { p.Done(errGate) }))
			assert.Empty(t, inFlight(r))
			assert.Equal(t, 1, told, "the gate waits for its done")
			p.Done(nil)
			assert.Empty(t, inFlight(r))
			assert.Equal(t, 1, told)
			require.NoError(t, r.Drain(bg, orders, "a"))
		})
	}
}

// An answer that is none makes the balancer take any candidate, evenly.
func TestG35_AnswersOutOfRange(t *testing.T) {
	for name, answer := range map[string]int{"negative": -1, "Len": 4, "least": math.MinInt, "greatest": math.MaxInt} {
		t.Run(name, func(t *testing.T) {
			asked := 0
			_, b := with(t, balance.Config{
				Rand:   seeded(35),
				Policy: policyFunc(func(balance.Candidates, balance.Query, int) int { asked++; return answer }),
			}, named("a", "b", "c", "d")...)
			inProportion(t, map[string]int{"a": 1, "b": 1, "c": 1, "d": 1}, counts(sequence(t, b, 10_000)))
			assert.Equal(t, 10_000, asked, "asked again")
		})
	}
	t.Run("no picker", func(t *testing.T) {
		_, b := with(t, balance.Config{Policy: policyMaker(func() balance.Picker { return nil })}, named("a", "b")...)
		assert.Len(t, counts(sequence(t, b, 100)), 2)
	})
}

// A policy that insists on an answer that was turned down is asked eight times.
func TestG35_APolicyThatInsists(t *testing.T) {
	var draws []int
	r, b := with(t, balance.Config{
		Policy: policyFunc(func(_ balance.Candidates, _ balance.Query, draw int) int { draws = append(draws, draw); return 0 }),
	}, named("a", "b")...)
	q := balance.Query{Exclude: tried(endpoint(t, r, "a"))}
	assert.Equal(t, []string{"b"}, sequenceWith(t, b, q, 1))
	assert.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7}, draws)
}
