package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// A verdict tells whether an expectation held. None depends on how fast the
// machine is: they are about counts, and about the order of things.
type verdict struct {
	held     bool
	expected string
	found    string
}

// judge compares what happened with what a breaker is for.
func judge(s script, stages []stage, left leftovers) []verdict {
	vs := []verdict{expectOpenings(stages)}
	if slices.ContainsFunc(s.phases, func(p phase) bool { return p.fault.retryAfter > 0 }) {
		vs = append(vs, expectRetryAfter(stages))
	}
	return append(vs,
		expectRecovery(stages),
		expectNothingLost(stages),
		expectRejectionsLocal(stages),
		expectRelief(stages, s.maxShare),
		expectClean(left),
	)
}

// verdicts prints them and reports whether all held.
func verdicts(w io.Writer, vs []verdict) bool {
	const column = 53
	all := true
	for _, v := range vs {
		mark := "ok    "
		if !v.held {
			mark, all = "FAILED", false
		}
		line := fmt.Sprintf("%s  %-*s  %s", mark, column, v.expected, v.found)
		if len(line) > width {
			line = fmt.Sprintf("%s  %s\n        %s", mark, v.expected, v.found)
		}
		fmt.Fprintln(w, line)
	}
	return all
}

// expectOpenings is about the first opening of every sick phase.
func expectOpenings(stages []stage) verdict {
	sick := 0
	var wrong []string
	for _, st := range stages {
		if !st.sick() {
			continue
		}
		sick++
		if how, ok := st.opened(); !ok {
			wrong = append(wrong, fmt.Sprintf("%s: %s, want %v", st.name, how, st.opens))
		}
	}
	return verdict{
		len(wrong) == 0,
		"every sick phase opens the breaker, for its own cause",
		strings.Join(append([]string{fmt.Sprintf("%d of %d", sick-len(wrong), sick)}, wrong...), "; "),
	}
}

// opened tells how the stage first opened the breaker, and whether it had to.
func (st stage) opened() (how string, ok bool) {
	for _, e := range st.events {
		if e.From == breaker.Closed && e.To == breaker.Open {
			o := opening{e.Reason, causeOf(e.Reason, e.Cause)}
			// A call that timed out was slow as well: either rule may be first.
			late := o.cause == causeTimeout && o.reason == breaker.ReasonSlowCalls
			return o.String(), o.cause == st.opens.cause && (o.reason == st.opens.reason || late)
		}
	}
	return "not opened", false
}

// expectRetryAfter is about the openings by a Retry-After.
//
// A call that began when such an opening had been seen was decided about after
// it, so if it was let through it ended after the open time. A call that began
// after the open time and ended before the half-open event should have been the
// one to cause it, so it was not rejected.
func expectRetryAfter(stages []stage) verdict {
	var samples []sample
	var events []event
	var asked time.Duration
	for _, st := range stages {
		samples = append(samples, st.protected.samples...)
		events = append(events, st.events...)
		asked = max(asked, st.fault.retryAfter)
	}
	openings, otherwise, early, late := 0, 0, 0, 0
	for i, e := range events {
		if e.To != breaker.Open || e.Reason != breaker.ReasonTrip {
			continue
		}
		openings++
		if e.OpenFor != asked {
			otherwise++
		}
		over := e.At.Add(asked)
		for _, s := range samples {
			switch {
			case !s.began.After(e.seen):
			case s.rejection == nil && s.ended.Before(over):
				early++
			case s.rejection != nil && !s.began.Before(over) && i+1 < len(events) && s.ended.Before(events[i+1].At):
				late++
			}
		}
	}
	v := verdict{
		held:     otherwise+early+late == 0 && openings > 0,
		expected: fmt.Sprintf("a Retry-After of %v opens for just that long", asked),
		found:    fmt.Sprintf("openings %d, calls early 0, late 0", openings),
	}
	if !v.held {
		v.found = fmt.Sprintf("openings %d, %d of them for another time; calls let through early %d, rejected late %d",
			openings, otherwise, early, late)
	}
	return v
}

// expectRecovery is about the healthy phases that follow a sick one.
func expectRecovery(stages []stage) verdict {
	sick := 0
	var still []string
	for i, st := range stages {
		if st.sick() || i == 0 {
			continue
		}
		sick++
		if st.after != breaker.Closed {
			still = append(still, fmt.Sprintf("%v after %s", st.after, stages[i-1].name))
		}
	}
	return verdict{
		len(still) == 0,
		"the breaker closes again after each of them",
		strings.Join(append([]string{fmt.Sprintf("%d of %d", sick-len(still), sick)}, still...), "; "),
	}
}

// excused is how many calls may time out in good health: those that are under
// way when the machine stands still for a moment.
const excused = 2

// expectNothingLost is about healthy phases: what the breaker lets through
// succeeds, and it lets everything through once it has found out.
func expectNothingLost(stages []stage) verdict {
	good, failed, refused, late := 0, 0, 0, 0
	for _, st := range stages {
		if st.sick() {
			continue
		}
		for _, s := range st.protected.samples {
			switch {
			case s.rejection != nil && s.closed:
				refused++
			case s.rejection != nil:
			case s.err != nil && causeOf(breaker.ReasonNone, s.err) == causeTimeout:
				late++
			case s.err != nil:
				failed++
			default:
				good++
			}
		}
	}
	v := verdict{
		good > 0 && failed+refused == 0 && late <= excused,
		"while healthy and closed, no call is lost",
		fmt.Sprintf("%d good, %d failed, %d rejected", good, failed, refused),
	}
	if late > 0 {
		v.found += fmt.Sprintf(", %d timed out", late)
	}
	return v
}

// expectRejectionsLocal compares the server's books with the client's. A call
// that was given up early may not have arrived.
func expectRejectionsLocal(stages []stage) verdict {
	reached, sent := 0, 0
	for _, st := range stages {
		t := count(st.protected.samples)
		reached += st.protected.reached
		sent += t.calls - t.rejected
	}
	return verdict{
		reached <= sent,
		"no rejected call reaches the server",
		fmt.Sprintf("it saw %d of %d let through", reached, sent),
	}
}

// expectRelief is about the load on the server in sick phases.
func expectRelief(stages []stage, most float64) verdict {
	with, without := 0, 0
	for _, st := range stages {
		if st.sick() {
			with += st.protected.reached
			without += st.unprotected.reached
		}
	}
	share := 1.0
	if without > 0 {
		share = float64(with) / float64(without)
	}
	return verdict{
		share <= most,
		fmt.Sprintf("a sick server gets at most %.0f %% of the calls", 100*most),
		fmt.Sprintf("%d instead of %d, %.0f %%", with, without, 100*share),
	}
}

func expectClean(left leftovers) verdict {
	v := verdict{
		left == leftovers{},
		"nothing is left over",
		fmt.Sprintf("%d connections, %d goroutines", left.connections, left.goroutines),
	}
	if left.err != nil {
		v.found += ", " + left.err.Error()
	}
	return v
}
