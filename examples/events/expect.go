package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A verdict tells whether an expectation held.
type verdict struct {
	held     bool
	expected string
	found    string
}

// judge compares what happened with what the policies are for.
func judge(outcomes []outcome) []verdict {
	return []verdict{
		expectOfBooks(outcomes, "every account adds up to what was published", addsUp),
		expectOfBooks(outcomes, "every handler saw what counts as handled or failed, in order", sawAll),
		expectOfBooks(outcomes, "every loss was told to the hook, and every lag on an event", told),
		expectOfDays(outcomes, "the fast one lost nothing, whatever the policy", fastLostNothing),
		expectOfDays(outcomes, "each policy did what it is for, and nothing else", asPolicySays),
		expectOfDays(outcomes, "Close left nothing", closedWell),
	}
}

// verdicts prints them and reports whether all held.
func verdicts(w io.Writer, vs []verdict) bool {
	const column = 61
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

// expectOfDays wants something of every day.
func expectOfDays(outcomes []outcome, expected string, wrong func(outcome) string) verdict {
	var found []string
	for _, o := range outcomes {
		if what := wrong(o); what != "" {
			found = append(found, fmt.Sprintf("%v: %s", o.policy, what))
		}
	}
	return conclude(expected, len(outcomes), found)
}

// expectOfBooks wants something of every subscription.
func expectOfBooks(outcomes []outcome, expected string, wrong func(b book, published int64) string) verdict {
	n := 0
	var found []string
	for _, o := range outcomes {
		n += len(o.books)
		for _, b := range o.books {
			if what := wrong(b, o.published); what != "" {
				found = append(found, fmt.Sprintf("%v, %s: %s", o.policy, b.name, what))
			}
		}
	}
	return conclude(expected, n, found)
}

func conclude(expected string, of int, wrong []string) verdict {
	right := fmt.Sprintf("%d of %d", of-len(wrong), of)
	return verdict{len(wrong) == 0 && of > 0, expected, strings.Join(append([]string{right}, wrong...), "; ")}
}

func addsUp(b book, published int64) string {
	if sum := b.sum(published); sum != published || b.stats.Depth+b.stats.Running != 0 {
		return fmt.Sprintf("%d instead of %d, %d of them not handled yet", sum, published, b.stats.Depth+b.stats.Running)
	}
	return ""
}

func sawAll(b book, _ int64) string {
	if n := b.stats.Handled + b.stats.Failed; uint64(len(b.seen)) != n {
		return fmt.Sprintf("%d instead of %d", len(b.seen), n)
	}
	for i := 1; i < len(b.seen); i++ {
		if b.seen[i].Seq <= b.seen[i-1].Seq {
			return fmt.Sprintf("%d after %d", b.seen[i].Seq, b.seen[i-1].Seq)
		}
	}
	return ""
}

func told(b book, _ int64) string {
	var lag uint64
	for _, e := range b.seen {
		lag += e.Lag
	}
	s, d := b.stats, b.dropped
	if lag != s.Lagged || d.Lagged != s.Lagged || d.Discarded != s.Discarded {
		return fmt.Sprintf("%d lagged, %d by the hook, %d by the events; %d discarded, %d by the hook",
			s.Lagged, d.Lagged, lag, s.Discarded, d.Discarded)
	}
	return ""
}

func fastLostNothing(o outcome) string {
	for _, b := range o.books {
		if n := int64(b.stats.Handled); b.name == dashboardName && n != o.published {
			return fmt.Sprintf("%d of %d", n, o.published)
		}
	}
	return ""
}

// effects are what a policy is known by.
var effects = map[eventbus.Overflow]string{
	eventbus.Block:      "the shop waited",
	eventbus.DropOldest: "the mailer lagged",
	eventbus.DropNewest: "the mailer lagged",
	eventbus.Fail:       "orders were refused",
	eventbus.Disconnect: "the mailer was ended",
	eventbus.Unbounded:  "nothing happened",
}

func asPolicySays(o outcome) string {
	var got []string
	add := func(did bool, what string) {
		if did {
			got = append(got, what)
		}
	}
	add(len(o.waited) > 0, "the shop waited")
	add(len(o.refused) > 0, "orders were refused")
	for _, b := range o.books {
		add(b.stats.Lagged > 0, "the "+b.name+" lagged")
		add(errors.Is(b.end, eventbus.ErrFull), "the "+b.name+" was ended")
	}
	add(len(got) == 0, "nothing happened")
	if all := strings.Join(got, ", "); all != effects[o.policy] {
		return fmt.Sprintf("%s, want: %s", all, effects[o.policy])
	}
	return ""
}

func closedWell(o outcome) string {
	if o.closing != nil {
		return o.closing.Error()
	}
	return ""
}
