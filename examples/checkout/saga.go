package main

import (
	"context"
	"errors"
	"net/http"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/saga"
)

// A Purchase is the state of a run: an order, and what each step has got for it.
// Every step writes a field of its own.
type Purchase struct {
	Order       Order
	Reservation string `json:",omitempty"`
	Charge      string `json:",omitempty"`
	Label       string `json:",omitempty"`
	Invoice     string `json:",omitempty"`
	Parcel      string `json:",omitempty"`
	Picking     string `json:",omitempty"`
}

// A buyer executes the steps: each is a call of a service by its name.
type buyer struct{ caller }

// checkout is the saga. Until the parcel is on its way all can be undone; from then
// on what is left to do is done, however long it takes.
func checkout(b buyer, t tempo) *saga.Saga[Purchase] {
	patience := t.patience()
	return saga.MustNewWith(saga.Spec[Purchase]{
		Name:     "checkout",
		Classify: classify,
		Steps: []saga.Step[Purchase]{
			{Name: "reserve", Do: b.reserve, Undo: b.undo(reservations), Timeout: patience},
			{
				Name: "charge", Do: b.charge, Undo: b.undo(charges), Probe: b.charged, Timeout: patience,
				Retry: saga.Retry{Attempts: 4}, // then the customer hears that it did not work
			},
			{Name: "papers", Parallel: []saga.Step[Purchase]{
				{Name: "label", Do: b.label, Undo: b.undo(labels), Timeout: patience, Merge: func(dst, src *Purchase) { dst.Label = src.Label }},
				{Name: "invoice", Do: b.invoice, Undo: b.undo(invoices), Timeout: patience, Merge: func(dst, src *Purchase) { dst.Invoice = src.Invoice }},
			}},
			{Name: "ship", Do: b.ship, Probe: b.shipped, Timeout: patience, Pivot: true},
			{Name: "pick", Do: b.pick, Timeout: patience},
		},
	})
}

func (b buyer) reserve(ctx context.Context, p *Purchase) (err error) {
	p.Reservation, err = b.make(ctx, reservations, p.Order)
	return err
}

func (b buyer) charge(ctx context.Context, p *Purchase) (err error) {
	p.Charge, err = b.make(ctx, charges, p.Order)
	return err
}

// charged is asked when no answer came to charge: before it is tried again, and
// before the run goes back.
func (b buyer) charged(ctx context.Context, p *Purchase) (what saga.Outcome, err error) {
	what, p.Charge, err = b.look(ctx, charges)
	return what, err
}

func (b buyer) label(ctx context.Context, p *Purchase) (err error) {
	p.Label, err = b.make(ctx, labels, p.Order)
	return err
}

func (b buyer) invoice(ctx context.Context, p *Purchase) (err error) {
	p.Invoice, err = b.make(ctx, invoices, p.Order)
	return err
}

func (b buyer) ship(ctx context.Context, p *Purchase) (err error) {
	p.Parcel, err = b.make(ctx, parcels, p.Order)
	return err
}

// shipped decides whether the run may still go back, if no answer came to ship.
func (b buyer) shipped(ctx context.Context, p *Purchase) (what saga.Outcome, err error) {
	what, p.Parcel, err = b.look(ctx, parcels)
	return what, err
}

// pick takes the goods out of the reserved ones.
func (b buyer) pick(ctx context.Context, p *Purchase) (err error) {
	p.Picking, err = b.make(ctx, pickings, p.Order)
	return err
}

// make makes a resource. However often that is tried, the key is the same.
func (b buyer) make(ctx context.Context, r resource, o Order) (string, error) {
	return b.call(ctx, request{method: http.MethodPost, url: address(r), key: saga.Info(ctx).Key, body: o})
}

// undo is the compensation of a step. It also accepts that there is nothing: whether
// an action without an answer took effect is for the service to know. With the key of
// the action it finds what there is to undo, and refuses the action if it comes now.
func (b buyer) undo(r resource) func(context.Context, *Purchase) error {
	return func(ctx context.Context, _ *Purchase) error {
		info := saga.Info(ctx)
		_, err := b.call(ctx, request{method: http.MethodDelete, url: address(r), key: info.Key, doKey: info.DoKey})
		return err
	}
}

// look asks what has become of an action. That a service does not know it is no
// answer: it may still be on its way. But what was refused stays refused.
func (b buyer) look(ctx context.Context, r resource) (saga.Outcome, string, error) {
	receipt, err := b.call(ctx, request{method: http.MethodGet, url: address(r), key: saga.Info(ctx).Key})
	var status *statusError
	switch {
	case err == nil:
		return saga.Applied, receipt, nil
	case errors.As(err, &status) && status.code == http.StatusConflict:
		return saga.Rejected, "", nil
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return saga.Unknown, "", nil
	}
	return saga.Unknown, "", err
}

func address(r resource) string { return "http://" + home(r) + "/" + string(r) }

// classify tells the engine what an error says about the effect. What is not known
// for certain, as with a timeout, is unknown: the effect may be there.
func classify(err error) error {
	var rejected *breaker.RejectedError
	var status *statusError
	switch {
	case errors.As(err, &rejected): // by all breakers, before anything was sent
		return saga.RetryAfter(saga.Reject(err), rejected.RetryAfter())
	case errors.Is(err, balance.ErrNoInstances):
		return saga.RetryAfter(saga.Reject(err), 0)
	case !errors.As(err, &status):
		return err
	}
	switch status.code {
	case http.StatusConflict, http.StatusGone: // the service has looked the key up, so that is for good
		return saga.Reject(err)
	case http.StatusServiceUnavailable: // it does nothing, but another attempt of the transport may have
		return saga.RetryAfter(err, status.after)
	}
	return err
}
