package eventbustest_test

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// changing sends every event with a change.
func changing(change func(*eventbus.Encoded)) fault {
	return fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
		change(&e)
		w.send(e)
		return nil
	}}
}

// everyone is the names of all checks.
func everyone() []string { return slices.Sorted(maps.Keys(eventbustest.Checks())) }

// faults are what a bridge may do wrong, with the checks that have to fail and
// those that may.
func faults() map[string]struct {
	fault
	must, may []string
} {
	type faulty = struct {
		fault
		must, may []string
	}
	only := func(f fault, must ...string) faulty { return faulty{fault: f, must: must} }
	return map[string]faulty{
		"drops all": only(fault{forward: func(context.Context, *wire, eventbus.Encoded) error { return nil }}, everyone()...),
		"drops some": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			if w.sent%7 != 0 {
				w.send(e)
			}
			return nil
		}}, "topics", "order", "once", "echo", "close"),
		"drops the first": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			if e.Seq > 1 {
				w.send(e)
			}
			return nil
		}}, everyone()...),
		"gives up": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			if w.sent%4 == 0 {
				return errors.New("connection reset")
			}
			w.send(e)
			return nil
		}}, everyone()...),
		"repeats":            only(fault{forward: twice("elsewhere", "")}, "topics", "order", "once", "envelope", "retry", "echo", "close"),
		"repeats with an ID": only(fault{forward: twice("", "+"), atLeastOnce: true}, "envelope"),
		"overtakes": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			if w.sent%3 == 0 {
				time.AfterFunc(time.Millisecond, func() { w.send(e) })
				return nil
			}
			w.send(e)
			return nil
		}}, "topics", "order", "envelope", "close"),
		"overtakes, as if admitted": only(fault{atLeastOnce: true, forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			if w.sent%3 == 0 {
				time.AfterFunc(time.Millisecond, func() { w.send(e) })
				return nil
			}
			w.send(e)
			return nil
		}}, "topics", "order", "envelope", "close"),
		"swallows at close": only(fault{
			forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
				w.later(e)
				return nil
			},
			closes: func(w *wire) {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.pending = nil
			},
		}, "close"),

		"hangs at one event": only(fault{forward: hangingAt("conformance.close.a", false)}, "close"),
		"hangs at the end":   only(fault{forward: hangingAt("conformance.close.b", true)}, "close"),
		"refuses publishes":  only(fault{sender: refusing(func(any) bool { return true })}, everyone()...),
		"refuses one":        only(fault{sender: refusing(func(data any) bool { return data == 50 })}, "order", "close"),

		"mangles characters": only(changing(func(e *eventbus.Encoded) {
			e.Data = bytes.ToValidUTF8(bytes.ReplaceAll(e.Data, []byte("\u00fc"), []byte{'?'}), nil)
		}), "data"),
		"cuts long data": only(changing(func(e *eventbus.Encoded) { e.Data = e.Data[:min(len(e.Data), 4096)] }), "data"),
		"folds names":    only(changing(func(e *eventbus.Encoded) { e.Topic = strings.ToLower(e.Topic) }), "topics"),
		"sends to parents too": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			w.send(e)
			e.ID, e.Topic = e.ID+"^", e.Topic[:strings.LastIndexByte(e.Topic, '.')]
			w.send(e)
			return nil
		}}, "topics"),

		"loses the header": only(changing(func(e *eventbus.Encoded) { e.Header = nil }), "envelope"),
		"adds a header":    only(changing(func(e *eventbus.Encoded) { e.Header = map[string]string{"via": "wire"} }), "envelope"),
		"makes an ID":      only(changing(func(e *eventbus.Encoded) { e.ID = "wire/" + e.ID }), "envelope", "retry"),
		"loses the ID":     only(changing(func(e *eventbus.Encoded) { e.ID = "" }), "envelope", "retry"),
		"rounds the time":  only(changing(func(e *eventbus.Encoded) { e.Time = e.Time.Truncate(time.Second) }), "envelope"),
		"loses the time":   only(changing(func(e *eventbus.Encoded) { e.Time = time.Time{} }), "envelope"),
		"is the source":    only(changing(func(e *eventbus.Encoded) { e.Source = "/wire" }), "envelope"),
		"loses the key":    only(changing(func(e *eventbus.Encoded) { e.Key = "" }), "envelope"),
		"makes a key":      only(changing(func(e *eventbus.Encoded) { e.Key = "none" }), "envelope"),
		"loses subjects":   only(changing(func(e *eventbus.Encoded) { e.Subject = "" }), "envelope"),
		"loses the type":   only(changing(func(e *eventbus.Encoded) { e.Type = "" }), "envelope"),

		"echoes, as if admitted": {fault{atLeastOnce: true, forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			e.Origin = "elsewhere"
			w.back(e)
			w.send(e)
			return nil
		}}, []string{"echo"}, []string{"order", "envelope", "retry"}},
		"echoes at In":  only(fault{forward: echoing(false)}, "echo"),
		"echoes at Out": {fault{forward: echoing(true)}, []string{"echo"}, []string{"order", "envelope", "retry"}},
		"repeats to Out": only(fault{forward: func(ctx context.Context, w *wire, e eventbus.Encoded) error {
			if !w.out {
				return twice("elsewhere", "")(ctx, w, e)
			}
			w.send(e)
			return nil
		}}, "echo"),
		"repeats when something comes": only(fault{forward: func(_ context.Context, w *wire, e eventbus.Encoded) error {
			w.send(e)
			if last := w.other.lastSent(); !w.out && last.ID != "" {
				last.Origin = "elsewhere"
				w.back(last)
			}
			return nil
		}}, "echo"),

		"replaces errors":   only(fault{receiver: replacing}, "retry"),
		"hides failures":    only(fault{receiver: hiding}, "retry"),
		"comes again":       only(fault{receiver: comingAgain}, "retry"),
		"retries by itself": only(fault{receiver: retrying}, "retry"),
	}
}

// refusing refuses some publishes.
func refusing(which func(any) bool) func() eventbus.Config {
	return func() eventbus.Config {
		return eventbus.Config{AroundPublish: []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
			return func(ctx context.Context, e eventbus.Event[any]) error {
				if which(e.Data) {
					return errors.New("not now")
				}
				return next(ctx, e)
			}
		}}}
	}
}

// echoing has the end at Out, or that at In, get back what it sends.
func echoing(out bool) func(context.Context, *wire, eventbus.Encoded) error {
	return func(_ context.Context, w *wire, e eventbus.Encoded) error {
		w.send(e)
		if w.out == out {
			e.Origin = "elsewhere"
			w.back(e)
		}
		return nil
	}
}

// hangingAt hangs at the event 200 of a topic, after it is sent or without that.
func hangingAt(topic string, sent bool) func(context.Context, *wire, eventbus.Encoded) error {
	return func(ctx context.Context, w *wire, e eventbus.Encoded) error {
		hangs := e.Topic == topic && string(e.Data) == "200"
		if !hangs || sent {
			w.send(e)
		}
		if hangs {
			<-ctx.Done()
		}
		return context.Cause(ctx)
	}
}

// hiding tells the bus of every handler that it succeeded.
func hiding(*wire) eventbus.Config {
	return eventbus.Config{AroundHandle: []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			_ = next(ctx, e)
			return nil
		}
	}}}
}

// replacing has handlers fail with other errors.
func replacing(*wire) eventbus.Config {
	return eventbus.Config{AroundHandle: []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			if next(ctx, e) != nil {
				return errors.New("something went wrong")
			}
			return nil
		}
	}}}
}

// retrying calls every handler that fails once more.
func retrying(*wire) eventbus.Config {
	return eventbus.Config{AroundHandle: []eventbus.Interceptor{func(next eventbus.Handler) eventbus.Handler {
		return func(ctx context.Context, e eventbus.Event[any]) error {
			if next(ctx, e) == nil {
				return nil
			}
			return next(ctx, e)
		}
	}}}
}

// comingAgain sends an event once more after a handler has given it up.
func comingAgain(w *wire) eventbus.Config {
	sent := false
	return eventbus.Config{Hooks: eventbus.Hooks{Failed: func(_ context.Context, f eventbus.Failure) {
		if f.Final && !sent {
			sent = true
			w.send(eventbus.Encoded{ID: "again", Origin: "elsewhere", Topic: f.Event.Topic(), Data: []byte("2")})
		}
	}}}
}

// K7: each fault is found by the right check, and by no other.
func TestConformanceFindsFaults(t *testing.T) {
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			for check, run := range eventbustest.Checks() {
				t.Run(check, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						said := try(t, func(tb *trial) { run(tb, joined(f.fault)) }).before
						switch {
						case slices.Contains(f.must, check):
							assert.Contains(t, said, "eventbustest: ")
						case !slices.Contains(f.may, check):
							assert.Empty(t, said)
						}
					})
				})
			}
		})
	}
}
