package main

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/saga"
)

// The orders of a good outcome.
const (
	passed = iota
	passedToo
	declined
	broken // not by the script: nobody was there for too long
)

// goodOutcome is what becomes of four orders, two completed, one refused, and one that
// timed out, if all goes well.
func goodOutcome(t *testing.T) outcome {
	t.Helper()
	s := script{1}
	orders := []Order{meets(t, ""), {}, meets(t, charges), {}}
	for _, o := range someOrders(t, 0, 359) {
		if o.Customer == orders[passed].Customer || s.refusal(o.ID) != (refusal{}) {
			continue
		}
		if orders[passedToo].ID == "" {
			orders[passedToo] = o
		} else if orders[broken].ID == "" {
			orders[broken] = o
		}
	}
	databases := make(map[string]*database)
	o := outcome{
		plan: plan{orders: orders, script: s, tempo: tempo{time.Second}, faults: true}, tally: tally{placed: orders},
		ends: map[string]ending{
			orders[passed].ID:    {status: saga.Completed},
			orders[passedToo].ID: {status: saga.Completed},
			orders[declined].ID:  {status: saga.Compensated, why: "card declined"},
			orders[broken].ID:    {status: saga.Compensated, why: "no answer in time"},
		},
		books: make(map[string]books), visits: make(map[string]map[fault]int), starts: 2, told: make(map[string]bool),
		served: map[string]uint64{"stock-1": 12, "payment-1": 4, "orders-1": 4}, opened: map[string]int{"stock-1": 1},
		bus: []eventbus.SubscriptionStats{
			{Name: "ledger", Topic: "orders.ended", Handled: 5},
			{Name: "notifier", Topic: "orders.ended", Handled: 3, Failed: 1, Retried: 6},
			{Name: "audit", Topic: ">", Handled: 90, Lagged: 10},
			{Name: "page", Topic: ">", Handled: 100},
		},
		took: 1234 * time.Millisecond,
	}
	for _, order := range orders {
		o.told[order.ID] = true
	}
	for _, service := range services {
		databases[service.name] = newDatabase()
		o.visits[service.name] = map[fault]int{well: 10}
	}
	o.visits["stock"][late] = 2
	for _, order := range orders {
		provide(databases, order)
	}
	for _, order := range orders[:2] {
		for _, service := range services {
			for _, r := range service.resources {
				databases[service.name].do(order.ID+string(r), r, order, "")
			}
		}
	}
	stock, payment := databases["stock"], databases["payment"]
	stock.do("r", reservations, orders[declined], "")
	payment.do("c", charges, orders[declined], "card declined")
	stock.undo("r")
	stock.do("s", reservations, orders[broken], "")
	payment.do("d", charges, orders[broken], "")
	payment.undo("d")
	stock.undo("s")
	stock.undo("s")
	for name, d := range databases {
		o.books[name] = d.books()
	}
	o.ledger = map[string]int64{
		orders[passed].Customer: orders[passed].Cents, orders[passedToo].Customer: orders[passedToo].Cents,
	}
	return o
}

func TestJudge_good(t *testing.T) {
	o := goodOutcome(t)
	all := judge(o)
	require.Len(t, all, 10)
	for _, v := range all {
		assert.True(t, v.held, "%s: %s", v.expected, v.found)
	}
	// Nobody wants a crash where nothing was to fail, or where it was cut short.
	o.plan.faults = false
	assert.Len(t, judge(o), 9)
	o = goodOutcome(t)
	o.plan.orders = append(slices.Clone(o.plan.orders), lampOrder)
	assert.Len(t, judge(o), 9)
}

// Each case harms one thing, and these expectations and no others find it.
func TestJudge_broken(t *testing.T) {
	const placed, ended, whole, once, balanced, ledger, told, bus, nobody, faults = 0, 1, 2, 3, 4, 5, 6, 7, 8, 9
	// post books what should not be, and takes the amount with it.
	post := func(o *outcome, p posting) {
		b := o.books[home(p.resource)]
		amount := p.transfer.amount
		if p.undo {
			amount = -amount
		}
		b.balances[p.transfer.from] -= amount
		b.balances[p.transfer.to] += amount
		b.postings = append(b.postings, p)
		o.books[home(p.resource)] = b
	}
	// booking is that of an order of a good outcome.
	booking := func(o *outcome, order int, r resource) posting {
		id := o.tally.placed[order].ID
		for _, p := range o.books[home(r)].postings {
			if p.order == id && p.resource == r && !p.undo {
				return p
			}
		}
		return posting{"x", id, r, false, effect(o.tally.placed[order], r)}
	}
	another := func(p posting, key string, undo bool) posting {
		p.key, p.undo = key, undo
		return p
	}
	for _, tc := range []struct {
		name   string
		harm   func(*outcome)
		broken []int
		found  string // by the first of them
	}{
		{"an order was not taken", func(o *outcome) { o.tally.failed = []error{errors.New("oops")} }, []int{placed}, "3 of 4; oops"},
		{"under way", func(o *outcome) {
			o.ends[o.tally.placed[declined].ID] = ending{status: saga.Compensating}
		}, []int{ended}, "3 of 4; order-010: compensating"},
		{"stuck", func(o *outcome) {
			o.ends[o.tally.placed[broken].ID] = ending{status: saga.Stuck, reason: saga.ReasonUndoFailed}
		}, []int{ended}, ": stuck, undo failed"},
		{"no run", func(o *outcome) { delete(o.ends, o.tally.placed[broken].ID) }, []int{ended}, ": no run"},
		{"an effect twice, with one key", func(o *outcome) { post(o, booking(o, passed, charges)) }, []int{whole, once, balanced, ledger}, "completed with 2 charges"},
		{"an effect twice, with two keys", func(o *outcome) {
			post(o, another(booking(o, passed, labels), "another", false))
		}, []int{whole, once, balanced}, "completed with 2 labels"},
		{"an effect twice, the second one undone", func(o *outcome) {
			post(o, another(booking(o, passed, labels), "another", false))
			post(o, another(booking(o, passed, labels), "another", true))
		}, []int{once}, " labels done; posting "},
		{"the effect of another order with one key", func(o *outcome) {
			ps := o.books["shipping"].postings
			ps[2].key = ps[0].key
		}, []int{once}, " labels done"},
		{"undone twice", func(o *outcome) { post(o, another(booking(o, broken, charges), "d", true)) }, []int{whole, once, balanced, ledger}, "compensated with -1 charges"},
		{"done after it was undone", func(o *outcome) { post(o, booking(o, broken, reservations)) }, []int{whole, once, balanced}, "compensated with 1 reservations"},
		{"undone by the key of another", func(o *outcome) {
			ps := o.books["payment"].postings
			ps[len(ps)-1].key = o.tally.placed[passed].ID + string(charges)
		}, []int{once}, " charges undone"},
		{"not undone", func(o *outcome) {
			b := o.books["stock"]
			last := b.postings[len(b.postings)-1]
			post(o, another(last, last.key, false))
			b = o.books["stock"]
			b.postings = b.postings[:len(b.postings)-2]
			o.books["stock"] = b
		}, []int{whole, balanced}, "compensated with 1 reservations"},
		{"half an order that compensated", func(o *outcome) { post(o, booking(o, declined, invoices)) }, []int{whole, balanced}, "compensated with 1 invoices"},
		{"half an order that completed", func(o *outcome) { post(o, another(booking(o, passed, parcels), booking(o, passed, parcels).key, true)) }, []int{whole, balanced}, "completed with 0 parcels"},
		{"a lost posting", func(o *outcome) {
			b := o.books["shipping"]
			b.postings = b.postings[1:]
			o.books["shipping"] = b
		}, []int{whole}, "completed with 0 labels"},
		{"a cent too few", func(o *outcome) { o.books["payment"].balances[account{"money", "shop"}]-- }, []int{balanced}, "money, shop: "},
		{"a lamp from nowhere", func(o *outcome) { o.books["stock"].balances[account{"stock of moons", "shelf"}]++ }, []int{balanced}, "stock of moons, shelf: 1 instead of 0"},
		{"an account is gone", func(o *outcome) { delete(o.books["payment"].balances, account{"money", "shop"}) }, []int{balanced}, "money, shop: 0 instead of "},
		{"a status that does not fit", func(o *outcome) {
			o.ends[o.tally.placed[passed].ID] = ending{status: saga.Compensated}
		}, []int{whole, balanced}, "compensated with 1 reservations"},
		{"the ledger has too much", func(o *outcome) { o.ledger[o.tally.placed[passed].Customer]++ }, []int{ledger}, " instead of "},
		{"the ledger lacks a customer", func(o *outcome) { delete(o.ledger, o.tally.placed[passed].Customer) }, []int{ledger}, ": nothing instead of "},
		{"the ledger has an unknown customer", func(o *outcome) { o.ledger["zoe"] = 1 }, []int{ledger}, "customer zoe: 1 instead of 0"},
		{"a customer was not told", func(o *outcome) { delete(o.told, o.tally.placed[broken].ID) }, []int{told}, "3 of 4; "},
		{"another one was told for it", func(o *outcome) {
			delete(o.told, o.tally.placed[passed].ID)
			o.told["x"], o.bus[1].Failed = true, 9
		}, []int{told}, ": not told"},
		{"the ledger has lost an event", func(o *outcome) { o.bus[0].Lagged = 1 }, []int{bus}, "3 of 4; ledger: 1 lost"},
		{"an event waits", func(o *outcome) { o.bus[2].Depth = 1 }, []int{bus}, "audit: 1 wait, 0 run, 0 discarded"},
		{"an event is being handled", func(o *outcome) { o.bus[3].Running = 2 }, []int{bus}, "page: 0 wait, 2 run, 0 discarded"},
		{"an event was discarded", func(o *outcome) { o.bus[1].Discarded = 3 }, []int{bus}, "notifier: 0 wait, 0 run, 3 discarded"},
		{"somebody goes on", func(o *outcome) { o.left = 2 }, []int{nobody}, "2 goroutines left"},
		{"nobody failed", func(o *outcome) { delete(o.visits["stock"], late) }, []int{faults}, "0 calls, 1 crash"},
		{"no crash", func(o *outcome) { o.starts = 1 }, []int{faults}, "2 calls, 0 crashes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			o := goodOutcome(t)
			tc.harm(&o)
			for i, v := range judge(o) {
				assert.Equal(t, !slices.Contains(tc.broken, i), v.held, "%s: %s", v.expected, v.found)
				if i == tc.broken[0] {
					assert.Contains(t, v.found, tc.found)
				}
			}
		})
	}
}

// A script of the usual length has to be met by calls, each of its faults.
func TestJudge_longScript(t *testing.T) {
	faults := func(harm func(map[string]map[fault]int)) verdict {
		o := goodOutcome(t)
		o.plan.tempo = tempo{usualTime}
		o.visits["payment"] = map[fault]int{slow: 1, storm: 2}
		o.visits["shipping"] = map[fault]int{storm: 3}
		harm(o.visits)
		all := judge(o)
		return all[len(all)-1]
	}
	v := faults(func(map[string]map[fault]int) {})
	assert.True(t, v.held, v.found)
	for want, harm := range map[string]func(map[string]map[fault]int){
		"7 calls, 1 crash; nobody has met payment that is slow":        func(v map[string]map[fault]int) { delete(v["payment"], slow) },
		"6 calls, 1 crash; nobody has met payment that is overloaded":  func(v map[string]map[fault]int) { delete(v["payment"], storm) },
		"5 calls, 1 crash; nobody has met shipping that is overloaded": func(v map[string]map[fault]int) { delete(v["shipping"], storm) },
		"6 calls, 1 crash; nobody has met stock that answers late":     func(v map[string]map[fault]int) { delete(v["stock"], late) },
	} {
		v := faults(harm)
		assert.False(t, v.held, want)
		assert.Equal(t, want, v.found)
	}
}

// What is returned by a function that reads does not share what it has read.
func TestOutcome_all(t *testing.T) {
	o := goodOutcome(t)
	balances, postings := o.all()
	n := 0
	for _, b := range o.books {
		n += len(b.postings)
		for a, amount := range b.balances {
			assert.Equal(t, amount, balances[a])
		}
	}
	assert.Len(t, postings, n)
	before := maps.Clone(o.books["stock"].balances)
	clear(balances)
	assert.Equal(t, before, o.books["stock"].balances)
}

// A long list is cut.
func TestConclude(t *testing.T) {
	assert.Equal(t, verdict{true, "x", "3 of 3"}, conclude("x", 3, nil))
	assert.Equal(t, verdict{true, "x", "0 of 0"}, conclude("x", 0, nil))
	assert.Equal(t, verdict{false, "x", "5 of 10; a; b; c; d; e"}, conclude("x", 10, []string{"a", "b", "c", "d", "e"}))
	assert.Equal(t, verdict{false, "x", "3 of 10; a; b; c; d; e; and 2 more"}, conclude("x", 10, []string{"a", "b", "c", "d", "e", "f", "g"}))
}

func TestNumber(t *testing.T) {
	assert.Equal(t, "1 crash", number(1, "crash"))
	assert.Equal(t, "0 crashes", number(0, "crash"))
	assert.Equal(t, "2 orders", number(2, "order"))
	assert.Equal(t, "1 order", number(1, "order"))
}

func TestVerdicts(t *testing.T) {
	var out bytes.Buffer
	assert.False(t, verdicts(&out, []verdict{
		{true, "this", "1 of 1"},
		{false, "that", "0 of 1"},
		{false, "what needs a line of its own", "0 of 1, because of something that is too long to be told in the same line"},
	}))
	assert.Equal(t, `ok      this                                                            1 of 1
FAILED  that                                                            0 of 1
FAILED  what needs a line of its own
        0 of 1, because of something that is too long to be told in the same line
`, out.String())
	assert.True(t, verdicts(&out, nil))
}
