package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// buying is how a customer places an order: again and again, until it is taken.
func (s *shop) buying() *saga.Saga[Order] {
	return saga.MustNewWith(saga.Spec[Order]{
		Name:     "buy",
		Classify: classify,
		Steps: []saga.Step[Order]{{
			Name: "place", Do: s.place, Timeout: 3 * s.tempo.patience(),
			Retry: saga.Retry{Attempts: -1, Wait: s.tempo.wait(), MaxWait: s.tempo.patience()},
		}},
	})
}

func (s *shop) place(ctx context.Context, o *Order) error {
	_, err := s.customer.call(ctx, request{method: http.MethodPost, url: "http://" + office + "/orders", key: "order " + o.ID, body: o})
	return err
}

// A tally is what came of some customers.
type tally struct {
	placed []Order
	failed []error
}

// serve has customers come at equal distances within some time. When ctx ends no more
// come; who has come is served, until last ends.
func (s *shop) serve(ctx, last context.Context, orders []Order, within time.Duration) tally {
	var customers sync.WaitGroup
	var mu sync.Mutex
	var t tally
	buy := s.buying()
	began := time.Now()
	for i, o := range orders {
		if !until(ctx, began.Add(within*time.Duration(i)/time.Duration(len(orders)))) {
			break
		}
		provide(s.databases, o)
		_ = s.topics.placed.TryPublish(ctx, o)
		t.placed = append(t.placed, o)
		customers.Go(func() {
			if err := buy.Run(last, &o); err != nil {
				mu.Lock()
				defer mu.Unlock()
				t.failed = append(t.failed, fmt.Errorf("%s: %w", o.ID, err))
			}
		})
	}
	customers.Wait()
	return t
}

// perform plays the script of faults. In the end, or when ctx ends, all are well.
func (s *shop) perform(ctx context.Context, acts []act) (err error) {
	began := time.Now()
	for _, a := range acts {
		if !until(ctx, began.Add(a.from)) {
			break
		}
		struck := time.Now() // perhaps late, and then it lasts as long all the same
		for _, id := range a.instances {
			s.strike(s.find(id), a.fault, a.to-a.from)
		}
		until(ctx, struck.Add(a.to-a.from))
		for _, id := range a.instances {
			err = errors.Join(err, s.revive(context.WithoutCancel(ctx), s.find(id)))
		}
	}
	return err
}

// until waits, and reports whether ctx has not ended before.
func until(ctx context.Context, at time.Time) bool {
	if ctx.Err() != nil {
		return false
	}
	return pause(time.Until(at), ctx.Done())
}

// A plan is what is to be played.
type plan struct {
	orders  []Order
	script  script
	tempo   tempo
	faults  bool // whether the script of faults is played
	forever bool // whether customers come until ctx ends
	dir     string
}

// play has customers come while the script goes on, until all orders have come to their
// end. When ctx ends no more customers come.
func (s *shop) play(ctx context.Context, p plan) (t tally, err error) {
	last, fail := context.WithCancelCause(context.WithoutCancel(ctx))
	defer fail(nil)
	var acts sync.WaitGroup
	if p.faults {
		acts.Go(func() {
			if err := s.perform(ctx, p.script.acts(p.tempo.script)); err != nil {
				fail(err) // nobody gets on without the order service
			}
		})
	}
	orders := p.script.shuffle(p.orders)
	for n := 1; n == 1 || p.forever && ctx.Err() == nil; n++ {
		some := s.serve(ctx, last, round(orders, n), p.tempo.script)
		t.placed, t.failed = append(t.placed, some.placed...), append(t.failed, some.failed...)
	}
	acts.Wait()
	if last.Err() != nil {
		return t, context.Cause(last)
	}
	for _, server := range s.servers { // those that somebody has killed by hand
		if err := s.revive(last, server); err != nil {
			return t, err
		}
	}
	last, cancel := context.WithTimeoutCause(last, longest, errStuck)
	defer cancel()
	return t, s.subs.ledger.await(last, len(t.placed)-len(t.failed))
}
