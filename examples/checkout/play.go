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
	if status := (*statusError)(nil); errors.As(err, &status) && status.code == http.StatusBadRequest {
		return saga.Reject(err) // it is not understood, now or later
	}
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
	last, give := context.WithCancelCause(last)
	defer give(nil)
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
	patience := time.AfterFunc(longest, func() { give(errStuck) })
	defer patience.Stop()
	customers.Wait()
	return t
}

// playScript plays the script of faults. In the end, or when ctx ends, what it has done is
// over.
func (s *shop) playScript(ctx context.Context, acts []act) (err error) {
	began := time.Now()
	for _, a := range acts {
		if !until(ctx, began.Add(a.from)) {
			break
		}
		struck := make(map[string]*ailment)
		for _, id := range a.instances {
			if ailment, err := s.strike(s.find(id), a.fault); err == nil { // else somebody was first
				struck[id] = ailment
			}
		}
		until(ctx, time.Now().Add(a.to-a.from)) // as long as it should, also if it began late
		for id, ailment := range struck {
			err = errors.Join(err, s.relieve(context.WithoutCancel(ctx), s.find(id), ailment))
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
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	var acts sync.WaitGroup
	if p.faults {
		acts.Go(func() {
			if err := s.playScript(ctx, p.script.acts(p.tempo.script)); err != nil {
				fail(err) // nobody gets on without the order service
				leave()
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
	if err := s.healAll(last); err != nil {
		return t, err
	}
	last, cancel := context.WithTimeoutCause(last, longest, errStuck)
	defer cancel()
	return t, s.subs.ledger.await(last, len(t.placed)-len(t.failed))
}
