package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A world is all services without a network: every request is answered at once, by a
// counter on the database of its service.
type world struct {
	buyer
	databases map[string]*database

	mu    sync.Mutex
	asked []string
}

func newWorld(s script) *world {
	w := &world{databases: make(map[string]*database)}
	handlers := make(map[string]http.Handler)
	for _, service := range services {
		w.databases[service.name] = newDatabase()
		c := &counter{
			service: service, database: w.databases[service.name], script: s,
			suffers: func() fault { return well }, visits: make(map[fault]int),
		}
		handlers[service.name] = c.handler(nil)
	}
	w.buyer = buyer{caller{&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
		w.mu.Lock()
		w.asked = append(w.asked, req.Method+" "+req.URL.Path)
		w.mu.Unlock()
		return answered(handlers[req.URL.Host], req), nil
	})}}}
	return w
}

// outcome is what came of one order.
func (w *world) outcome(o Order, end saga.Status) outcome {
	out := outcome{
		tally: tally{placed: []Order{o}}, ends: map[string]ending{o.ID: {status: end}}, books: make(map[string]books),
	}
	for name, d := range w.databases {
		out.books[name] = d.books()
	}
	return out
}

// Every step fails and every answer is lost, and the process dies at every write: the
// order is done as a whole or not at all, with every refusal there is and with none.
func TestCheckout_explored(t *testing.T) {
	schedules := 250
	if raceEnabled {
		schedules = 60
	}
	for _, r := range []resource{"", reservations, charges, labels, parcels} {
		t.Run("refused "+string(r), func(t *testing.T) {
			order := meets(t, r)
			ends := make(map[saga.Status]int)
			var w *world
			n := sagatest.Explore(t, sagatest.Explorer[Purchase]{
				Setup: func() (*saga.Saga[Purchase], Purchase) {
					w = newWorld(script{1})
					provide(w.databases, order)
					return checkout(w.buyer, tempo{leastTime}), Purchase{Order: order}
				},
				Check: func(end saga.Status, p Purchase) error {
					ends[end]++
					o := w.outcome(order, end)
					if end == saga.Stuck { // after its pivot: only Explore can refuse what was reserved
						done := o
						done.ends = map[string]ending{order.ID: {status: saga.Completed}}
						if v := expectWhole(done); !v.held && !strings.HasSuffix(v.found, ": completed with 0 pickings") {
							return errors.New(v.found)
						}
						return nil
					}
					for _, v := range []verdict{expectEnded(o), expectWhole(o), expectOnce(o), expectBalances(o)} {
						if !v.held {
							return fmt.Errorf("%s: %s", v.expected, v.found)
						}
					}
					if r != "" && end != saga.Compensated {
						return fmt.Errorf("%s are refused, and the run is %v", r, end)
					}
					if end != saga.Completed {
						return nil
					}
					for _, receipt := range []string{p.Reservation, p.Charge, p.Label, p.Invoice, p.Parcel, p.Picking} {
						if receipt == "" {
							return fmt.Errorf("a receipt is missing: %+v", p)
						}
					}
					return nil
				},
				MaxSchedules: schedules, Seed: 1,
			})
			assert.Equal(t, schedules, n)
			assert.Positive(t, ends[saga.Compensated])
			assert.Equal(t, r == "", ends[saga.Completed] > 0)
		})
	}
}

// What is asked of whom, if all goes well, and if the parcel is too heavy.
func TestCheckout_requests(t *testing.T) {
	for r, want := range map[resource][]string{
		"": {
			"POST /reservations", "POST /charges", "POST /invoices", "POST /labels", "POST /parcels", "POST /pickings",
		},
		parcels: {
			"POST /reservations", "POST /charges", "POST /invoices", "POST /labels", "POST /parcels",
			"DELETE /invoices", "DELETE /labels", "DELETE /charges", "DELETE /reservations",
		},
		charges: {"POST /reservations", "POST /charges", "DELETE /reservations"},
	} {
		w := newWorld(script{1})
		def := checkout(w.buyer, tempo{leastTime})
		p := Purchase{Order: meets(t, r)}
		err := def.Run(t.Context(), &p)
		assert.Equal(t, r == "", err == nil, "%v", err)
		for i, asked := range w.asked { // those of the group are at the same time
			if strings.HasSuffix(asked, " /invoices") && i > 0 && strings.HasSuffix(w.asked[i-1], " /labels") {
				w.asked[i-1], w.asked[i] = asked, w.asked[i-1]
			}
		}
		assert.Equal(t, want, w.asked)
	}
}

func TestCheckout_definition(t *testing.T) {
	def := checkout(newWorld(script{1}).buyer, tempo{leastTime})
	for _, advice := range def.Lint() {
		assert.NotContains(t, advice, "ReadOnly", "every step before the pivot can be undone")
	}
	assert.Contains(t, def.Mermaid(), "ship (pivot)")
}

// What has become of an action is known if the service has booked or refused it. That
// it has not heard of it is no answer.
func TestBuyer_look(t *testing.T) {
	for code, want := range map[int]saga.Outcome{200: saga.Applied, 409: saga.Rejected, 404: saga.Unknown, 503: saga.Unknown, 500: saga.Unknown} {
		b := buyer{caller{&http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
			return answered(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w, code, reply{Receipt: "r"}) }), req), nil
		})}}}
		for _, probe := range []func(context.Context, *Purchase) (saga.Outcome, error){b.charged, b.shipped} {
			var p Purchase
			what, err := probe(t.Context(), &p)
			assert.Equal(t, want, what, code)
			assert.Equal(t, code >= 500, err != nil, code)
			assert.Equal(t, code == 200, p.Charge+p.Parcel == "r", code)
		}
	}
}

// What a verdict does is seen from outside: how often a step is tried, after which
// waits, and whether it is undone when that does not help.
func TestClassify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := errors.New("EOF")
		open := breaker.MustNew("b", breaker.Config{})
		open.Trip(time.Hour, plain)
		_, rejected := open.Allow(t.Context())
		require.Error(t, rejected)
		require.Equal(t, plain, classify(plain))
		server := &statusError{code: 500, why: "oops"}
		require.Equal(t, error(server), classify(server))
		for _, tc := range []struct {
			err              error
			attempts, undone int
			wait             time.Duration // before the second attempt, at least
		}{
			{&statusError{code: http.StatusConflict}, 1, 0, 0},
			{&statusError{code: http.StatusGone}, 1, 0, 0},
			{&statusError{code: http.StatusNotFound}, 3, 1, 0},
			{&statusError{code: http.StatusServiceUnavailable, after: time.Second}, 3, 1, time.Second},
			{&statusError{code: http.StatusInternalServerError}, 3, 1, 0},
			{plain, 3, 1, 0},
			{context.DeadlineExceeded, 3, 1, 0},
			{balance.ErrNoInstances, 3, 0, 0},
			{fmt.Errorf("%w: %w", balance.ErrNoInstances, rejected), 3, 0, 59 * time.Minute},
		} {
			attempts, undone := 0, 0
			began := time.Now()
			var took time.Duration
			def := saga.MustNewWith(saga.Spec[int]{Name: "s", Classify: classify, Steps: []saga.Step[int]{{
				Name: "step",
				Do: func(context.Context, *int) error {
					if attempts++; attempts == 2 {
						took = time.Since(began)
					}
					return tc.err
				},
				Undo:  func(context.Context, *int) error { undone++; return nil },
				Retry: saga.Retry{Attempts: 3, Wait: -1},
			}}})
			require.Error(t, def.Run(t.Context(), new(int)))
			assert.Equal(t, tc.attempts, attempts, "%v", tc.err)
			assert.Equal(t, tc.undone, undone, "%v", tc.err)
			assert.GreaterOrEqual(t, took, tc.wait, "%v", tc.err)
		}
	})
}
