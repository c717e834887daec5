package modelcheck

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-go/mainstay/breaker"
)

// learn tells the model what jitter has made of the last open time.
func (x *machine) learn() {
	x.m.jittered = x.m.jittered[:0]
	for _, e := range x.events {
		if e.To == breaker.Open && e.Reason != breaker.ReasonAuto {
			x.m.jittered = append(x.m.jittered, e.OpenFor)
		}
	}
	x.m.jittered = append(x.m.jittered, x.b.Snapshot().RetryAfter) // a later end has no event
}

// check compares all that can be seen from outside.
func (x *machine) check(t *rapid.T) {
	want := x.m.look()
	if got := x.b.State(); got != want.state {
		t.Fatalf("State %v, want %v", got, want.state)
	}
	got := x.b.Snapshot()
	x.checkPicture(t, "Snapshot", &got, &want)
	if got.RetryAfter != want.retryAfter {
		t.Fatalf("Snapshot.RetryAfter %v, want %v", got.RetryAfter, want.retryAfter)
	}
	totals := totals{
		trips: got.Trips, rejected: got.Rejected, ignored: got.Ignored, late: got.Late, panics: got.HookPanics,
	}
	if totals != x.m.totals {
		t.Fatalf("totals %+v, want %+v", totals, x.m.totals)
	}
	x.checkEvents(t)
	x.checkDone(t)
	x.checkRejected(t)
	for _, r := range x.refused {
		if got, want := r.err.RetryAfter(), x.m.retryAfter(r.state, r.stay); got != want {
			t.Fatalf("an earlier rejection, %v, tells RetryAfter %v, want %v", r.err, got, want)
		}
	}
}

func (x *machine) checkPicture(t *rapid.T, what string, got *breaker.Snapshot, want *picture) {
	if got.Name != name || got.State != want.state || got.Reason != want.reason {
		t.Fatalf("%s is of %q, %v, %v, want %v, %v", what, got.Name, got.State, got.Reason, want.state, want.reason)
	}
	if since := x.date(want.since); !got.Since.Equal(since) {
		t.Fatalf("%s.Since %v, want %v, %v", what, got.Since, since, time.Duration(want.since))
	}
	if !want.cause.is(got.Cause) {
		t.Fatalf("%s.Cause %v, want %v", what, got.Cause, want.cause)
	}
	calls, failures := uint64(want.calls), uint64(want.failures)
	slowOf, slow := uint64(want.slowOf), uint64(want.slow)
	if got.Calls != calls || got.Failures != failures || got.SlowOf != slowOf || got.Slow != slow {
		t.Fatalf("%s: %d of %d calls failed, %d of %d were slow, want %d of %d, %d of %d", what,
			got.Failures, got.Calls, got.Slow, got.SlowOf, failures, calls, slow, slowOf)
	}
	if got.Probes != want.probes {
		t.Fatalf("%s: %d probes, want %d", what, got.Probes, want.probes)
	}
	if got.FailureRate != ratio(failures, calls) || got.SlowRate != ratio(slow, slowOf) {
		t.Fatalf("%s: rates %v and %v", what, got.FailureRate, got.SlowRate)
	}
}

func ratio(part, of uint64) float64 {
	return float64(part) / float64(max(of, 1))
}

func (x *machine) date(at int64) time.Time { return x.clock.base.Add(time.Duration(at)) }

// What failures print must be the same in every run, or they cannot be shrunk:
// no addresses.

func (b because) String() string {
	if b.says != "" {
		return "one that says " + b.says
	}
	return fmt.Sprint(b.err)
}

func (e event) String() string {
	return fmt.Sprintf("%v to %v by %v for %v, cause %v, would open %v, hooks %d",
		e.from, e.to, e.reason, e.openFor, e.cause, e.wouldOpen, e.hooks)
}

func (e observedEvent) String() string {
	return fmt.Sprintf("%v to %v by %v for %v, cause %v, would open %v, hooks %d",
		e.From, e.To, e.Reason, e.OpenFor, e.Cause, e.WouldOpen, e.hooks)
}

func (r refusal) String() string {
	return fmt.Sprintf("%v by %v, cause %v", r.state, r.reason, r.cause)
}

// is reports whether err is the cause that the model expects.
func (b because) is(err error) bool {
	if b.says != "" {
		return err != nil && strings.Contains(err.Error(), b.says)
	}
	return err == b.err //nolint:errorlint // the very error that was reported
}

func (x *machine) checkEvents(t *rapid.T) {
	if len(x.events) != len(x.m.events) {
		t.Fatalf("%d events %v, want %v", len(x.events), x.events, x.m.events)
	}
	for i, want := range x.m.events {
		got := x.events[i]
		if got.hooks != want.hooks || got.Name != name || got.From != want.from || got.To != want.to ||
			got.Reason != want.reason || got.WouldOpen != want.wouldOpen {
			t.Fatalf("event %v, want %v", got, want)
		}
		if !got.At.Equal(x.date(want.at)) || got.OpenFor != want.openFor || !want.cause.is(got.Cause) {
			t.Fatalf("event %v at %v, want %v at %v", got, got.At, want, x.date(want.at))
		}
		if !want.caller.is(got.ctx) {
			t.Fatalf("event %v has the context of another call", got)
		}
		x.checkPicture(t, "Before", &got.Before, &want.before)
	}
	x.events, x.m.events = x.events[:0], x.m.events[:0]
}

func (x *machine) checkDone(t *rapid.T) {
	if len(x.done) != len(x.m.done) {
		t.Fatalf("%d Done hooks, want %d", len(x.done), len(x.m.done))
	}
	for i, want := range x.m.done {
		got := x.done[i]
		c := breaker.Completion{
			Name: name, Outcome: want.outcome, Err: want.err, Took: want.took,
			Slow: want.slow, Probe: want.probe, Late: want.late, Aborted: want.aborted,
		}
		if got.hooks != want.hooks || got.Completion != c || !want.caller.is(got.ctx) {
			t.Fatalf("Done hook %d was told %+v, want %d, %+v", got.hooks, got.Completion, want.hooks, c)
		}
	}
	x.done, x.m.done = x.done[:0], x.m.done[:0]
}

// checkRefusal compares the rejection that a call got.
func (x *machine) checkRefusal(t *rapid.T, want *refusal, err error) {
	got, ok := err.(*breaker.RejectedError) //nolint:errorlint // returned as it is
	if !ok {
		t.Fatalf("not a rejection: %v", err)
	}
	if got.Name != name || got.State != want.state || got.Reason != want.reason || !want.cause.is(got.Cause) {
		t.Fatalf("rejected with %v, want %v", got, want)
	}
	for target, matches := range map[error]bool{
		breaker.ErrRejected:      true,
		breaker.ErrOpen:          want.state == breaker.Open || want.state == breaker.ForcedOpen,
		breaker.ErrTooManyProbes: want.state == breaker.HalfOpen,
		want.cause.err:           false,
	} {
		if errors.Is(err, target) != matches {
			t.Fatalf("errors.Is(%v, %v) is not %v", err, target, matches)
		}
	}
	x.refused = append(x.refused[max(len(x.refused)-3, 0):], rejection{got, want.stay, want.state})
}

func (x *machine) checkRejected(t *rapid.T) {
	if len(x.rejected) != len(x.m.refusals) {
		t.Fatalf("%d Rejected hooks, want %v", len(x.rejected), x.m.refusals)
	}
	for i, want := range x.m.refusals {
		got := x.rejected[i]
		if got.hooks != want.hooks || !want.caller.is(got.ctx) || got.err.State != want.state ||
			got.err.Reason != want.reason || !want.cause.is(got.err.Cause) {
			t.Fatalf("Rejected hook %d was told %v, want %d, %v", got.hooks, got.err, want.hooks, want)
		}
	}
	x.rejected, x.m.refusals = x.rejected[:0], x.m.refusals[:0]
}
