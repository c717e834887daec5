package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"

	"github.com/mainstay-go/mainstay/saga"
)

// A verdict tells whether an expectation held. None is about time: on a busy machine
// more requests are given up and made again, and perhaps an order fails that would
// not have.
type verdict struct {
	held     bool
	expected string
	found    string
}

// judge compares the books with the runs.
func judge(o outcome) []verdict {
	vs := []verdict{
		expectEnded(o),
		expectWhole(o),
		expectOnce(o),
		expectBalances(o),
		expectFates(o),
		expectLaw(o),
	}
	if o.kills > 0 {
		vs = append(vs, expectKills(o))
	}
	return vs
}

// verdicts prints them and reports whether all held.
func verdicts(w io.Writer, vs []verdict) bool {
	const column = 58
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

// conclude lists what is wrong, as far as a few go.
func conclude(expected string, of int, wrong []string) verdict {
	const most = 5
	found := fmt.Sprintf("%d of %d", of-len(wrong), of)
	for i, what := range wrong {
		if i == most {
			found += fmt.Sprintf("; and %d more", len(wrong)-most)
			break
		}
		found += "; " + what
	}
	return verdict{len(wrong) == 0 && of > 0, expected, found}
}

// expectOf wants something of every order, and of how its run has ended.
func expectOf(o outcome, expected string, wrong func(Order, ending) string) verdict {
	var found []string
	ends := o.ends()
	for _, order := range o.orders {
		if what := wrong(order, ends[order.ID]); what != "" {
			found = append(found, order.ID+": "+what)
		}
	}
	return conclude(expected, len(o.orders), found)
}

// ends are the endings by order.
func (o outcome) ends() map[string]ending {
	ends := make(map[string]ending)
	if o.report != nil {
		for _, e := range o.report.Runs {
			ends[e.Order] = e
		}
	}
	return ends
}

func (e ending) completed() bool   { return e.Status == saga.Completed.String() }
func (e ending) compensated() bool { return e.Status == saga.Compensated.String() }

func expectEnded(o outcome) verdict {
	return expectOf(o, "every run has ended, and none is stuck", func(_ Order, e ending) string {
		switch {
		case e.Order == "":
			return "no run"
		case e.Reason != "":
			return e.Status + ", " + e.Reason
		case !e.completed() && !e.compensated():
			return e.Status
		}
		return ""
	})
}

// expectWhole is about halves. What was undone counts as if it had not been.
func expectWhole(o outcome) verdict {
	has := make(map[string]map[resource]int)
	for _, p := range o.postings {
		if has[p.order] == nil {
			has[p.order] = make(map[resource]int)
		}
		if p.undo {
			has[p.order][p.resource]--
		} else {
			has[p.order][p.resource]++
		}
	}
	return expectOf(o, "every order is done as a whole or not at all", func(order Order, e ending) string {
		want := 0
		if e.completed() {
			want = 1
		}
		for _, r := range resources {
			if n := has[order.ID][r]; n != want {
				return fmt.Sprintf("%s with %d %s", cmp.Or(e.Status, "no run"), n, r)
			}
		}
		return ""
	})
}

// expectOnce looks at every single posting: of an action, by its key and by its
// order, there is one, and after it at most one that undoes it.
func expectOnce(o outcome) verdict {
	const one, undone = 1, 2
	stage := make(map[string]int)
	owner := make(map[string]string)
	var wrong []string
	for i, p := range o.postings {
		what, key := p.order+" "+string(p.resource), p.key
		switch {
		case !p.undo && stage[what] == 0 && owner[key] == "":
			stage[what], owner[key] = one, what
		case p.undo && stage[what] == one && owner[key] == what:
			stage[what] = undone
		default:
			verb := "done"
			if p.undo {
				verb = "undone"
			}
			wrong = append(wrong, fmt.Sprintf("posting %d: %s %s", i+1, what, verb))
		}
	}
	return conclude("no effect was had twice, and none was undone twice", len(o.postings), wrong)
}

// expectBalances works out the accounts anew, from the orders and how their runs
// have ended alone.
func expectBalances(o outcome) verdict {
	want := opening(o.orders)
	ends := o.ends()
	for _, order := range o.orders {
		for _, r := range resources {
			t := effect(order, r)
			amount := t.amount
			if !ends[order.ID].completed() {
				amount = 0
			}
			want[t.from] -= amount
			want[t.to] += amount
		}
	}
	accounts := maps.Clone(want)
	maps.Copy(accounts, o.balances)
	var wrong []string
	for _, a := range sortedAccounts(accounts) {
		if has := o.balances[a]; has != want[a] {
			wrong = append(wrong, fmt.Sprintf("%s, %s: %d instead of %d", a.what, a.whose, has, want[a]))
		}
	}
	return conclude("money, stock and papers are all where they belong", len(accounts), wrong)
}

func sortedAccounts[T any](accounts map[account]T) []account {
	return slices.SortedFunc(maps.Keys(accounts), func(a, b account) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.whose, b.whose))
	})
}

// expectFates is about what the script has in store. The opposite may happen, that
// an order fails without it.
func expectFates(o outcome) verdict {
	return expectOf(o, "what was refused or never answered failed, and says why", func(order Order, e ending) string {
		switch f := o.script.fate(order.ID); {
		case f != (fate{}) && !e.compensated():
			return fmt.Sprintf("%s in spite of its %s", cmp.Or(e.Status, "no run"), f.resource)
		case e.compensated() && e.Why == "":
			return "no reason"
		}
		return ""
	})
}

func expectLaw(o outcome) verdict {
	return expectOf(o, "every journal is lawful", func(_ Order, e ending) string {
		if e.Order == "" {
			return "no run"
		}
		return e.Law
	})
}

// expectKills is about the program itself: with nobody killed it shows nothing. The
// last worker may be too quick for the last of the kills.
func expectKills(o outcome) verdict {
	n := o.killed()
	return verdict{
		n > 0 && n == len(o.lives)-1, "the worker was killed, and another one went on",
		fmt.Sprintf("%s of at most %d", count(n, "time"), o.kills),
	}
}
