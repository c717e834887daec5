package main

import (
	"bytes"
	"slices"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// someOrders are orders that the script of seed 1 lets pass, or has the fates of.
func someOrders(t *testing.T, wanted ...fate) (orders []Order) {
	t.Helper()
	all, err := loadOrders("", nil)
	require.NoError(t, err)
	for _, f := range wanted {
		i := slices.IndexFunc(all, func(o Order) bool { return script{1}.fate(o.ID) == f })
		require.GreaterOrEqual(t, i, 0, "%v", f)
		orders = append(orders, all[i])
		all = slices.Delete(all, i, i+1)
	}
	return orders
}

// The orders of a good outcome.
const (
	passed = iota
	passedToo
	declined
	broken // not by the script: by a busy machine
)

// goodOutcome is what becomes of four orders, two completed, one refused, and one
// that timed out, if all goes well.
func goodOutcome(t *testing.T) outcome {
	t.Helper()
	orders := someOrders(t, fate{}, fate{}, fate{charges, "card declined", fine}, fate{})
	l := newLedger(orders)
	for _, o := range orders[:2] {
		for _, r := range resources {
			l.do(o.ID+string(r), r, o, "")
		}
	}
	l.do(orders[declined].ID+"r", reservations, orders[declined], "")
	l.do(orders[declined].ID+"c", charges, orders[declined], "card declined")
	l.undo(orders[declined].ID+"r", reservations, orders[declined])
	l.undo(orders[broken].ID+"r", reservations, orders[broken])

	s := newServices(script{1}, l, nil)
	s.found(reservations, booked)
	s.found(reservations, again)
	s.went(reservations, fine)
	s.went(reservations, late)
	s.arrived(reservations, "POST", "k")
	o := outcome{
		orders: orders, script: script{1}, kills: 2, tallies: s.tallies,
		lives: []life{{killed: true, moments: 7}, {moments: 1}},
		report: &report{Runs: []ending{
			{Order: orders[0].ID, Status: "completed", Attempts: 7, Interrupted: 1},
			{Order: orders[1].ID, Status: "completed", Attempts: 6},
			{Order: orders[2].ID, Status: "compensated", Step: "charge", Why: "402 card declined", Attempts: 3, Undone: 1},
			{Order: orders[3].ID, Status: "compensated", Step: "reserve", Why: "EOF", Attempts: 6, Undone: 1},
		}},
	}
	o.balances, o.postings = l.books()
	return o
}

func TestJudge_good(t *testing.T) {
	o := goodOutcome(t)
	all := judge(o)
	require.Len(t, all, 7)
	for _, v := range all {
		assert.True(t, v.held, "%s: %s", v.expected, v.found)
	}
	o.kills, o.lives = 0, o.lives[1:]
	assert.Len(t, judge(o), 6)
}

// Nothing at all is not good.
func TestJudge_nothing(t *testing.T) {
	for _, v := range judge(outcome{kills: 1}) {
		assert.False(t, v.held, v.expected)
	}
}

// Each case harms one thing, and these expectations and no others find it.
func TestJudge_broken(t *testing.T) {
	const ended, whole, once, balanced, fated, lawful, killed = 0, 1, 2, 3, 4, 5, 6
	// post books what should not be, and takes the amount with it.
	post := func(o *outcome, p posting) {
		amount := p.transfer.amount
		if p.undo {
			amount = -amount
		}
		o.balances[p.transfer.from] -= amount
		o.balances[p.transfer.to] += amount
		o.postings = append(o.postings, p)
	}
	for _, tc := range []struct {
		name   string
		harm   func(*outcome)
		broken []int
		found  string // by the first of them
	}{
		{
			"an effect twice, with one key", func(o *outcome) { post(o, o.postings[1]) },
			[]int{whole, once, balanced},
			"3 of 4; order-02: completed with 2 charges",
		},
		{
			"an effect twice, with two keys", func(o *outcome) {
				p := o.postings[1]
				p.key = "another"
				post(o, p)
			},
			[]int{whole, once, balanced},
			"3 of 4; order-02: completed with 2 charges",
		},
		{
			"an effect twice, the second one undone", func(o *outcome) {
				p := o.postings[1]
				p.key = "another"
				post(o, p)
				p.undo = true
				post(o, p)
			},
			[]int{once},
			"14 of 16; posting 15: order-02 charges done; posting 16: order-02 charges undone",
		},
		{
			"the effect of another order with one key", func(o *outcome) { o.postings[7].key = o.postings[1].key },
			[]int{once},
			"13 of 14; posting 8: order-03 charges done",
		},
		{
			"undone twice", func(o *outcome) { post(o, o.postings[13]) },
			[]int{whole, once, balanced},
			"3 of 4; order-19: compensated with -1 reservations",
		},
		{
			"done after it was undone", func(o *outcome) { post(o, o.postings[12]) },
			[]int{whole, once, balanced},
			"3 of 4; order-19: compensated with 1 reservations",
		},
		{
			"not undone", func(o *outcome) {
				p := o.postings[13]
				p.undo = false
				post(o, p)
				o.postings = append(o.postings[:13:13], o.postings[15:]...)
			},
			[]int{whole, balanced},
			"3 of 4; order-19: compensated with 1 reservations",
		},
		{
			"half an order that compensated", func(o *outcome) {
				post(o, posting{"x", o.orders[broken].ID, charges, false, effect(o.orders[broken], charges)})
			},
			[]int{whole, balanced},
			"3 of 4; order-04: compensated with 1 charges",
		},
		{
			"half an order that completed", func(o *outcome) {
				p := o.postings[5]
				p.undo = true
				post(o, p)
				o.postings = append(o.postings[:5:5], o.postings[6:14]...)
			},
			[]int{whole, balanced},
			"3 of 4; order-02: completed with 0 mails",
		},
		{
			"a lost effect", func(o *outcome) { o.postings = o.postings[1:] },
			[]int{whole},
			"3 of 4; order-02: completed with 0 reservations",
		},
		{
			"a cent too few", func(o *outcome) { o.balances[account{"money", "shop"}]-- },
			[]int{balanced},
			"money, shop: ",
		},
		{
			"a cent on an account of nobody", func(o *outcome) { o.balances[account{"money", "nobody"}] = 1 },
			[]int{balanced},
			"; money, nobody: 1 instead of 0",
		},
		{
			"an account is gone", func(o *outcome) { delete(o.balances, account{"money", "shop"}) },
			[]int{balanced},
			"money, shop: 0 instead of ",
		},
		{
			"another amount", func(o *outcome) {
				o.balances[account{"money", "shop"}]++
				o.balances[o.postings[1].transfer.from]--
			},
			[]int{balanced},
			"money, shop: ",
		},
		{
			"a status that does not fit", func(o *outcome) {
				o.report.Runs[passed].Status, o.report.Runs[passed].Why = "compensated", "EOF"
			},
			[]int{whole, balanced},
			"3 of 4; order-02: compensated with 1 reservations",
		},
		{
			"a fate that was got over", func(o *outcome) {
				o.report.Runs[declined].Status = "completed"
				for _, r := range resources {
					post(o, posting{"x" + string(r), o.orders[declined].ID, r, false, effect(o.orders[declined], r)})
				}
			},
			[]int{once, fated},
			"",
		},
		{
			"no reason", func(o *outcome) { o.report.Runs[broken].Why = "" },
			[]int{fated},
			"3 of 4; order-04: no reason",
		},
		{
			"stuck", func(o *outcome) {
				o.report.Runs[declined].Status, o.report.Runs[declined].Reason = "stuck", "undo failed"
			},
			[]int{ended, fated},
			"3 of 4; order-19: stuck, undo failed",
		},
		{
			"under way", func(o *outcome) { o.report.Runs[declined].Status = "compensating" },
			[]int{ended, fated},
			"3 of 4; order-19: compensating",
		},
		{
			"no run", func(o *outcome) { o.report.Runs = o.report.Runs[1:] },
			[]int{ended, whole, balanced, lawful},
			"3 of 4; order-02: no run",
		},
		{
			"unlawful", func(o *outcome) { o.report.Runs[broken].Law = "do after undo" },
			[]int{lawful},
			"3 of 4; order-04: do after undo",
		},
		{
			"nobody was killed", func(o *outcome) { o.lives = o.lives[1:] },
			[]int{killed},
			"0 times of at most 2",
		},
		{
			"the last one was killed", func(o *outcome) { o.lives = o.lives[:1] },
			[]int{killed},
			"1 time of at most 2",
		},
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

// A long list is cut.
func TestConclude(t *testing.T) {
	assert.Equal(t, verdict{true, "x", "3 of 3"}, conclude("x", 3, nil))
	assert.Equal(t, verdict{false, "x", "0 of 0"}, conclude("x", 0, nil))
	assert.Equal(t, verdict{false, "x", "5 of 10; a; b; c; d; e"}, conclude("x", 10, []string{"a", "b", "c", "d", "e"}))
	assert.Equal(t, verdict{false, "x", "3 of 10; a; b; c; d; e; and 2 more"}, conclude("x", 10, []string{"a", "b", "c", "d", "e", "f", "g"}))
}

func TestVerdicts(t *testing.T) {
	var out bytes.Buffer
	assert.False(t, verdicts(&out, []verdict{
		{true, "this", "1 of 1"},
		{false, "that", "0 of 1"},
		{false, "what needs a line of its own", "0 of 1, because of something that is too long to be told in the same line"},
	}))
	assert.Equal(t, `ok      this                                                        1 of 1
FAILED  that                                                        0 of 1
FAILED  what needs a line of its own
        0 of 1, because of something that is too long to be told in the same line
`, out.String())
	assert.True(t, verdicts(&out, nil))
}
