package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A verdict tells whether an expectation held. None is about time: on a busy machine
// more calls are given up and made again, and perhaps an order fails that would not
// have.
type verdict struct {
	held            bool
	expected, found string
}

// judge compares the books of the services, and what those who listen have heard, with
// how the runs have ended.
func judge(o outcome) []verdict {
	verdicts := []verdict{
		expectPlaced(o),
		expectEnded(o),
		expectWhole(o),
		expectOnce(o),
		expectBalances(o),
		expectLedger(o),
		expectTold(o),
		expectBus(o),
		expectNobody(o),
	}
	if o.plan.faults && len(o.tally.placed) == len(o.plan.orders) { // else it was cut short
		verdicts = append(verdicts, expectFaults(o))
	}
	return verdicts
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
	return verdict{len(wrong) == 0, expected, found}
}

// expectOf wants something of every order that was placed.
func expectOf(o outcome, expected string, wrong func(Order, ending) string) verdict {
	var found []string
	for _, order := range o.tally.placed {
		if what := wrong(order, o.ends[order.ID]); what != "" {
			found = append(found, order.ID+": "+what)
		}
	}
	return conclude(expected, len(o.tally.placed), found)
}

func expectPlaced(o outcome) verdict {
	var wrong []string
	for _, err := range o.tally.failed {
		wrong = append(wrong, err.Error())
	}
	return conclude("every order was taken, however often the service was away", len(o.tally.placed), wrong)
}

func expectEnded(o outcome) verdict {
	return expectOf(o, "every order has come to its end, and none is stuck", func(_ Order, e ending) string {
		switch {
		case e.status == 0:
			return "no run"
		case e.reason != saga.ReasonNone:
			return fmt.Sprintf("%v, %v", e.status, e.reason)
		case !e.status.Ended():
			return e.status.String()
		}
		return ""
	})
}

// expectWhole is about halves. What was undone counts as if it had not been.
func expectWhole(o outcome) verdict {
	_, postings := o.all()
	has := make(map[string]map[resource]int)
	for _, p := range postings {
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
		if e.status == saga.Completed {
			want = 1
		}
		for _, s := range services {
			for _, r := range s.resources {
				if n := has[order.ID][r]; n != want {
					return fmt.Sprintf("%v with %d %s", e.status, n, r)
				}
			}
		}
		return ""
	})
}

// expectOnce looks at every single posting: of an action, by its key and by its order,
// there is one, and after it at most one that undoes it.
func expectOnce(o outcome) verdict {
	const one, undone = 1, 2
	stage := make(map[string]int)
	owner := make(map[string]string)
	_, postings := o.all()
	var wrong []string
	for i, p := range postings {
		what := p.order + " " + string(p.resource)
		switch {
		case !p.undo && stage[what] == 0 && owner[p.key] == "":
			stage[what], owner[p.key] = one, what
		case p.undo && stage[what] == one && owner[p.key] == what:
			stage[what] = undone
		default:
			verb := "done"
			if p.undo {
				verb = "undone"
			}
			wrong = append(wrong, fmt.Sprintf("posting %d: %s %s", i+1, what, verb))
		}
	}
	return conclude("no key had an effect twice, and none was undone twice", len(postings), wrong)
}

// expectBalances works out the accounts anew, from the orders and how their runs have
// ended alone. What there is of anything is the same as before: it has changed hands.
func expectBalances(o outcome) verdict {
	want := make(map[account]int64)
	for _, order := range o.tally.placed {
		for _, s := range services {
			for _, r := range s.resources {
				t := effect(order, r)
				if r != pickings { // they take what was reserved
					want[t.from] += t.amount
				}
				if o.ends[order.ID].status == saga.Completed {
					want[t.from] -= t.amount
					want[t.to] += t.amount
				}
			}
		}
	}
	balances, _ := o.all()
	accounts := maps.Clone(want)
	maps.Copy(accounts, balances)
	var wrong []string
	for _, a := range slices.SortedFunc(maps.Keys(accounts), func(a, b account) int {
		return cmp.Or(cmp.Compare(a.what, b.what), cmp.Compare(a.whose, b.whose))
	}) {
		if balances[a] != want[a] {
			wrong = append(wrong, fmt.Sprintf("%s, %s: %d instead of %d", a.what, a.whose, balances[a], want[a]))
		}
	}
	return conclude("money, stock and papers are all where they belong", len(accounts), wrong)
}

// expectLedger compares what payment has with what somebody knows who has only
// listened to the bus.
func expectLedger(o outcome) verdict {
	var wrong []string
	customers := make(map[string]int64)
	for _, p := range o.books["payment"].postings {
		if p.resource != charges {
			continue
		}
		if p.undo {
			customers[p.transfer.from.whose] -= p.transfer.amount
		} else {
			customers[p.transfer.from.whose] += p.transfer.amount
		}
	}
	for customer, cents := range o.ledger {
		whose := "customer " + customer
		if customers[whose] != cents {
			wrong = append(wrong, fmt.Sprintf("%s: %d instead of %d", whose, cents, customers[whose]))
		}
		delete(customers, whose)
	}
	for whose, cents := range customers {
		if cents != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: nothing instead of %d", whose, cents))
		}
	}
	slices.Sort(wrong)
	return conclude("the ledger, which only listens, agrees with payment", len(o.ledger), wrong)
}

// expectTold is about mails, order by order: one that comes back twice, after a crash,
// does not stand for another one.
func expectTold(o outcome) verdict {
	return expectOf(o, "every customer was told, or the mail came back", func(order Order, _ ending) string {
		if !o.told[order.ID] {
			return "not told"
		}
		return ""
	})
}

// expectBus is that no loss is silent: what was published is accounted for.
func expectBus(o outcome) verdict {
	var wrong []string
	for _, s := range o.bus {
		if s.Depth != 0 || s.Running != 0 || s.Discarded != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d wait, %d run, %d discarded", s.Name, s.Depth, s.Running, s.Discarded))
		}
		if s.Name != "audit" && s.Lagged != 0 {
			wrong = append(wrong, fmt.Sprintf("%s: %d lost", s.Name, s.Lagged))
		}
	}
	return conclude("nobody on the bus has lost an event who must not", len(o.bus), wrong)
}

func expectNobody(o outcome) verdict {
	return verdict{o.left == 0, "nothing goes on when all is closed", number(o.left, "goroutine") + " left"}
}

// expectFaults is about the program itself: without faults it shows nothing. In a short
// script a fault may be over before anybody has met it.
func expectFaults(o outcome) verdict {
	const long = 10 * time.Second
	met := 0
	for _, visits := range o.visits {
		for f, n := range visits {
			if f != well {
				met += n
			}
		}
	}
	found := fmt.Sprintf("%s, %s", number(met, "call"), number(o.starts-1, "crash"))
	held := met > 0 && o.starts > 1
	if o.plan.tempo.script >= long {
		for _, want := range []struct {
			service string
			fault   fault
		}{{"payment", slow}, {"payment", storm}, {"shipping", storm}, {"stock", late}} {
			if o.visits[want.service][want.fault] == 0 {
				held = false
				found += fmt.Sprintf("; nobody has met %s that %s", want.service, symptom(want.fault))
			}
		}
	}
	return verdict{held, "services failed, and the order service crashed and came again", found}
}
