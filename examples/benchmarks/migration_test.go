package main

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// What .github/MIGRATION.md shows of gobreaker, before and after. That the page shows
// exactly this is a test of package examples.

type Order struct{ ID, Cents int }

type Receipt string

var ErrDeclined = errors.New("card declined")

// A cardBank answers what it has been told to.
type cardBank struct {
	answer error
	during func() // what happens while it works
}

func (b *cardBank) Charge(context.Context, Order) (Receipt, error) {
	b.during()
	return "charged", b.answer
}

func payLater(Order) (Receipt, error) { return "later", nil }

// A till is one of the two ways to charge a card.
type till struct {
	pay   func(ctx context.Context, order Order) (Receipt, error)
	state func() string
}

func before(bank *cardBank, log *slog.Logger) till {
	cards := gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{
		Name:        "cards",
		MaxRequests: 3,
		Interval:    time.Minute,
		Timeout:     30 * time.Second,
		ReadyToTrip: func(c gobreaker.Counts) bool {
			return c.Requests >= 20 && 2*c.TotalFailures >= c.Requests
		},
		IsSuccessful:  func(err error) bool { return err == nil || errors.Is(err, ErrDeclined) },
		IsExcluded:    func(err error) bool { return errors.Is(err, context.Canceled) },
		OnStateChange: func(name string, from, to gobreaker.State) { log.Warn(name, "from", from, "to", to) },
	})
	pay := func(ctx context.Context, order Order) (Receipt, error) {
		receipt, err := cards.Execute(func() (Receipt, error) { return bank.Charge(ctx, order) })
		if errors.Is(err, gobreaker.ErrOpenState) || errors.Is(err, gobreaker.ErrTooManyRequests) {
			return payLater(order)
		}
		return receipt, err
	}
	return till{pay, func() string { return cards.State().String() }}
}

func after(bank *cardBank, log *slog.Logger) till {
	cards := breaker.MustNew("cards", breaker.Config{
		Trip:    breaker.FailureRate(0.5, 20, breaker.Within(time.Minute)),
		OpenFor: 30 * time.Second,
		Probes:  3, CloseAfter: 3,
		Classify: func(ctx context.Context, err error) breaker.Outcome {
			if errors.Is(err, ErrDeclined) {
				return breaker.Success
			}
			return breaker.DefaultClassify(ctx, err) // ignores the cancel of the caller
		},
		Hooks: breaker.Hooks{Transition: func(ctx context.Context, t breaker.Transition) {
			log.WarnContext(ctx, t.Name, "from", t.From, "to", t.To, "cause", t.Cause)
		}},
	})
	pay := func(ctx context.Context, order Order) (Receipt, error) {
		receipt, err := breaker.Do(ctx, cards, func(ctx context.Context) (Receipt, error) {
			return bank.Charge(ctx, order)
		})
		if errors.Is(err, breaker.ErrRejected) {
			return payLater(order)
		}
		return receipt, err
	}
	return till{pay, func() string { return cards.State().String() }}
}

// What the page shows does the same before and after, call by call.
func TestMigrationSame(t *testing.T) {
	const open = "ffffffffff" + "ffffffffff"
	for name, c := range map[string]struct{ script, end string }{
		"too few":                      {open[1:], "closed"},
		"enough":                       {open, "open"},
		"half":                         {"ssssssssss" + "ffffffffff", "open"},
		"less than half":               {"sssssssssss" + "ffffffffff", "closed"},
		"a success opens nothing":      {"ffffffffff" + "ssssssssss", "closed"},
		"declined is a success":        {"dddddddddd" + "d" + "ffffffffff", "closed"},
		"the caller's cancel is none":  {"cccccccccc" + "sssssssss" + "ffffffffff", "closed"},
		"rejected":                     {open + "sss", "open"},
		"a probe":                      {open + "ws", "half-open"},
		"three probes":                 {open + "wsds", "closed"},
		"a probe fails":                {open + "wssf", "open"},
		"a probe's caller leaves":      {open + "wcscsc", "half-open"},
		"counted anew when it closes":  {open + "wsss" + open[1:], "closed"},
		"and opens again":              {open + "wsss" + open, "open"},
		"forgotten after the interval": {open[1:] + "wwwf", "closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bank, log := new(cardBank), slog.New(slog.DiscardHandler)
				old, now := before(bank, log), after(bank, log)
				for i, step := range c.script {
					if step == 'w' {
						time.Sleep(30*time.Second + 1) // gobreaker is open to the end inclusive
						continue
					}
					bank.answer = map[rune]error{'f': errDown, 'd': ErrDeclined, 'c': context.Canceled}[step]
					var receipts [2]Receipt
					var errs [2]error
					for j, till := range []till{old, now} {
						ctx, cancel := context.WithCancel(t.Context())
						bank.during = func() {
							if step == 'c' {
								cancel()
							}
						}
						receipts[j], errs[j] = till.pay(ctx, Order{})
						cancel()
					}
					assert.Equal(t, receipts[0], receipts[1], "step %d, %c", i, step)
					assert.Equal(t, errs[0], errs[1], "step %d, %c", i, step)
					require.Equal(t, old.state(), now.state(), "after step %d, %c", i, step)
				}
				assert.Equal(t, c.end, now.state())
			})
		})
	}
}

// A breaker that only watches says when it would have opened, and takes over later.
func TestMigrationShadow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var would []error
		cards := gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{})
		shadow := breaker.MustNew("cards", breaker.Config{
			Initial: breaker.ForcedClosed,
			Hooks: breaker.Hooks{Transition: func(_ context.Context, t breaker.Transition) {
				if t.WouldOpen {
					would = append(would, t.Cause)
				}
			}},
		})
		bank := &cardBank{answer: errDown, during: func() {}}
		pay := func(ctx context.Context, order Order) (Receipt, error) {
			receipt, err := cards.Execute(func() (Receipt, error) { // decides
				return breaker.Do(ctx, shadow, func(ctx context.Context) (Receipt, error) { // watches
					return bank.Charge(ctx, order)
				})
			})
			return receipt, err
		}
		for i := range 6 { // one more than ours takes
			require.Len(t, would, i/5)
			_, err := pay(t.Context(), Order{})
			assert.Equal(t, errDown, err)
		}
		assert.Equal(t, []error{errDown}, would)
		_, err := pay(t.Context(), Order{})
		assert.Equal(t, gobreaker.ErrOpenState, err)

		shadow.Auto()
		time.Sleep(2 * time.Minute)
		bank.answer = nil
		_, err = pay(t.Context(), Order{})
		require.NoError(t, err)
		bank.answer = errDown
		for range 5 {
			_, err = pay(t.Context(), Order{})
			assert.Equal(t, errDown, err)
		}
		_, err = pay(t.Context(), Order{})
		assert.ErrorIs(t, err, breaker.ErrOpen)
	})
}

// Where both act, the outer one must not take a rejection by the inner for a failure.
func TestMigrationBoth(t *testing.T) {
	for excluded, want := range map[bool]error{true: breaker.ErrOpen, false: gobreaker.ErrOpenState} {
		outer := gobreaker.NewCircuitBreaker[Receipt](gobreaker.Settings{
			IsExcluded: func(err error) bool { return excluded && errors.Is(err, breaker.ErrRejected) },
		})
		inner := breaker.MustNew("cards", breaker.Config{})
		inner.Trip(0, errDown)
		var err error
		for range 20 {
			_, err = outer.Execute(func() (Receipt, error) {
				return "", inner.Run(t.Context(), func(context.Context) error { return nil })
			})
		}
		assert.ErrorIs(t, err, want)
	}
}
