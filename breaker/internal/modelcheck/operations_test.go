package modelcheck

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"time"

	"pgregory.net/rapid"

	"github.com/mainstay-go/mainstay/breaker"
)

// doing are the operations by name. Each does the same to breaker and model.
var doing = map[string]func(*machine, *rapid.T){
	"allow":       (*machine).allow,
	"done":        (*machine).reportDone,
	"record":      (*machine).record,
	"run":         (*machine).runs,
	"many":        (*machine).many,
	"abort":       (*machine).abort,
	"progress":    (*machine).progress,
	"permit trip": (*machine).permitTrip,
	"end caller":  (*machine).endCaller,
	"wait":        (*machine).wait,
	"until due":   (*machine).untilDue,
	"go back":     (*machine).goBack,
	"centuries":   (*machine).centuries,
	"trip":        (*machine).trip,
	"force open":  (*machine).forceOpen,
	"force closed": func(x *machine, _ *rapid.T) {
		x.b.ForceClosed()
		x.m.forceClosed()
	},
	"auto": func(x *machine, _ *rapid.T) {
		x.b.Auto()
		x.m.ends()
	},
	"reset": func(x *machine, _ *rapid.T) {
		x.b.Reset()
		x.m.reset()
	},
	"reconfigure":  (*machine).reconfigure,
	"misconfigure": (*machine).misconfigure,
	"react":        (*machine).react,
	"zero permit":  (*machine).zeroPermit,
}

// operation draws one of them, most often what makes a breaker move.
var operation = rapid.SampledFrom(strings.Split(strings.TrimSpace(
	strings.Repeat("allow,", 8)+strings.Repeat("done,", 8)+strings.Repeat("run,", 10)+"many,many,"+
		strings.Repeat("wait,", 4)+strings.Repeat("until due,", 5)+strings.Repeat("record,", 2)+
		"abort,progress,progress,permit trip,end caller,go back,trip,force open,force closed,auto,auto,auto,"+
		"reset,reconfigure,reconfigure,react,misconfigure,zero permit,centuries"), ","))

// caller is the context of a call: one that never ends, one that may, or one
// that has ended.
func (x *machine) caller(t *rapid.T) *caller {
	switch pick(t, "caller", "background", "new", "old", "background", "old", "ended") {
	case "new":
		c := newCaller(pick(t, "deadline", time.Time{}, hurried, relaxed))
		x.callers = append(x.callers, c)
		return c
	case "old":
		if len(x.callers) > 0 {
			return pick(t, "which", x.callers...)
		}
	case "ended":
		c := newCaller(time.Time{})
		c.end(pick(t, "how", context.Canceled, context.DeadlineExceeded))
		return c
	}
	return &caller{}
}

// err is what a call may return.
func (x *machine) err(t *rapid.T) error {
	x.errs++
	own := fmt.Errorf("error %d", x.errs)
	switch pick(t, "err", "own", "nil", "own", "nil", "own", "neutral", "cancel", "deadline", "rejection") {
	case "nil":
		return nil
	case "neutral":
		return fmt.Errorf("%w: %w", own, errNeutral)
	case "cancel":
		return fmt.Errorf("%w: %w", own, context.Canceled)
	case "deadline":
		return fmt.Errorf("%w: %w", own, context.DeadlineExceeded)
	case "rejection":
		return fmt.Errorf("%w: %w", own, &breaker.RejectedError{State: breaker.Open})
	}
	return own
}

func (x *machine) allow(t *rapid.T) {
	c := x.caller(t)
	p, err := x.b.Allow(c)
	x.arrived(t, c, &p, err)
}

// permit picks one that was issued, reported or not, or none.
func (x *machine) permit(t *rapid.T) (int, *breaker.Permit) {
	recent := x.permits[max(len(x.permits)-8, 0):]
	if len(recent) == 0 {
		return 0, nil
	}
	back := rapid.IntRange(0, len(recent)-1).Draw(t, "permit")
	id := len(x.permits) - 1 - back
	return id, x.permits[id]
}

func (x *machine) reportDone(t *rapid.T) {
	if id, p := x.permit(t); p != nil {
		err := x.err(t)
		p.Done(err)
		x.learn()
		x.m.report(id, report{err: err})
	}
}

func (x *machine) record(t *rapid.T) {
	if id, p := x.permit(t); p != nil {
		o := pick(t, "outcome", breaker.Success, breaker.Failure, breaker.Ignored, unknownOutcome)
		err := x.err(t)
		p.Record(o, err)
		x.learn()
		x.m.report(id, report{judged: true, outcome: o, err: err})
	}
}

func (x *machine) progress(t *rapid.T) {
	if id, p := x.permit(t); p != nil {
		p.Progress()
		x.learn()
		x.m.progress(id)
	}
}

func (x *machine) permitTrip(t *rapid.T) {
	if id, p := x.permit(t); p != nil {
		d, err := x.openTime(t), x.err(t)
		p.Trip(d, err)
		x.learn()
		x.m.report(id, report{judged: true, outcome: breaker.Failure, err: err, trip: true, openFor: d})
	}
}

// zeroPermit reports through one that was never issued.
func (x *machine) zeroPermit(t *rapid.T) {
	var p breaker.Permit
	p.Progress()
	p.Done(x.err(t))
	p.Record(breaker.Failure, nil)
	p.Trip(time.Hour, nil)
}

// runs is a call in one piece, during which time goes by and the caller may
// give up.
func (x *machine) runs(t *rapid.T) {
	c, err := x.caller(t), x.err(t)
	took := pick(t, "took", 0, ms, 3*ms, 0, 10*ms, 3*ms-1)
	var end error
	if chance(t, "caller gives up", 6) {
		end = pick(t, "how", context.Canceled, context.DeadlineExceeded)
	}
	ended := c.Err()
	ran := false
	fn := func(context.Context) error {
		ran = true
		x.clock.at.Add(int64(took))
		if end != nil {
			c.end(end)
		}
		return err
	}
	r := report{err: err}
	var got error
	switch pick(t, "form", "Run", "Do", "DoResult") {
	case "Run":
		got = x.b.Run(c, fn)
	case "Do":
		_, got = breaker.Do(c, x.b, func(ctx context.Context) (int, error) { return 1, fn(ctx) })
	default:
		r.judged, r.outcome = true, pick(t, "outcome", breaker.Success, breaker.Failure, breaker.Ignored, unknownOutcome)
		_, got = breaker.DoResult(c, x.b, func(ctx context.Context) (int, error) { return 1, fn(ctx) },
			func(int, error) breaker.Outcome { return r.outcome })
	}
	x.ran(t, c, ended, ran, got, func() {
		if got != err { //nolint:errorlint // returned unchanged
			t.Fatalf("returned %v, want fn's %v", got, err)
		}
		x.m.now += int64(took)
	}, r)
}

// many are calls in a row that end alike, so that windows fill up.
func (x *machine) many(t *rapid.T) {
	err := pick(t, "err", nil, nil, errors.New("many"))
	for range pick(t, "calls", 3, 10, 30) {
		c := &caller{}
		ran := false
		got := x.b.Run(c, func(context.Context) error {
			ran = true
			return err
		})
		x.ran(t, c, nil, ran, got, func() {}, report{err: err})
		x.check(t)
	}
}

// abort is a call that does not return.
func (x *machine) abort(t *rapid.T) {
	c := x.caller(t)
	ended := c.Err()
	ran := false
	var got, thrown error
	if exits := chance(t, "Goexit", 2); exits {
		finished := make(chan struct{})
		go func() {
			defer close(finished)
			got = x.b.Run(c, func(context.Context) error {
				ran = true
				runtime.Goexit()
				return nil
			})
		}()
		<-finished
	} else {
		thrown = errors.New("thrown")
		func() {
			defer func() {
				if v := recover(); ran && v != any(thrown) {
					t.Fatalf("panicked with %v", v)
				}
			}()
			got = x.b.Run(c, func(context.Context) error {
				ran = true
				panic(thrown)
			})
		}()
	}
	x.ran(t, c, ended, ran, got, func() {}, report{judged: true, outcome: breaker.Failure, aborted: true})
}

// ran has the model do what the breaker has done with a call in one piece. The
// model is asked as of when the call began.
func (x *machine) ran(t *rapid.T, c *caller, ended error, ran bool, got error, during func(), r report) {
	if ended != nil {
		if ran || got != ended { //nolint:errorlint // returned unchanged
			t.Fatalf("a call whose caller had ended: ran %v, %v", ran, got)
		}
		return
	}
	x.learn()
	id := len(x.permits)
	x.permits = append(x.permits, nil)
	refused := x.m.call(id, c, ran)
	switch {
	case ran != (refused == nil):
		t.Fatalf("fn ran: %v, rejected with %v, want %v", ran, got, refused)
	case ran:
		during()
		x.m.report(id, r)
	default:
		x.checkRefusal(t, refused, got)
	}
}

// arrived has the model do what the breaker has done with a call of Allow.
func (x *machine) arrived(t *rapid.T, c *caller, p *breaker.Permit, err error) {
	if ended := c.Err(); ended != nil {
		if err != ended { //nolint:errorlint // returned unchanged
			t.Fatalf("a call whose caller had ended: %v", err)
		}
		return
	}
	x.learn()
	id := len(x.permits)
	x.permits = append(x.permits, nil)
	refused := x.m.call(id, c, err == nil)
	switch {
	case (err == nil) != (refused == nil):
		t.Fatalf("Allow: %v, want %v", err, refused)
	case err == nil:
		x.permits[id] = p
	default:
		x.checkRefusal(t, refused, err)
	}
}

func (x *machine) endCaller(t *rapid.T) {
	if len(x.callers) > 0 {
		pick(t, "which", x.callers...).end(pick(t, "how", context.Canceled, context.DeadlineExceeded))
	}
}
