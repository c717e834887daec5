package main

import (
	"context"
	"errors"
	"net/http"
	"time"

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
	Mail        string `json:",omitempty"`
}

// patience is how long a step waits for an answer. It is short because what this
// program waits for most are answers that never come.
const patience = 100 * time.Millisecond

// checkout is the saga. Until the parcel is on its way all can be undone; from then
// on what is left to do is done, however long it takes.
func checkout(s *shop) *saga.Saga[Purchase] {
	return saga.MustNewWith(saga.Spec[Purchase]{
		Name:     "checkout",
		Classify: classify,
		Steps: []saga.Step[Purchase]{
			{Name: "reserve", Do: s.reserve, Undo: s.undo(reservations), Timeout: patience},
			{
				Name: "charge", Do: s.charge, Undo: s.undo(charges), Probe: s.charged, Timeout: patience,
				Retry: saga.Retry{Attempts: 4}, // then the customer hears that it did not work
			},
			{Name: "papers", Parallel: []saga.Step[Purchase]{
				{Name: "label", Do: s.label, Undo: s.undo(labels), Timeout: patience, Merge: func(dst, src *Purchase) { dst.Label = src.Label }},
				{Name: "invoice", Do: s.invoice, Undo: s.undo(invoices), Timeout: patience, Merge: func(dst, src *Purchase) { dst.Invoice = src.Invoice }},
			}},
			{Name: "ship", Do: s.ship, Probe: s.shipped, Timeout: patience, Pivot: true},
			{Name: "mail", Do: s.mail, Timeout: patience},
		},
	})
}

func (s *shop) reserve(ctx context.Context, p *Purchase) (err error) {
	p.Reservation, err = s.make(ctx, reservations, p.Order)
	return err
}

func (s *shop) charge(ctx context.Context, p *Purchase) (err error) {
	p.Charge, err = s.make(ctx, charges, p.Order)
	return err
}

// charged is asked when no answer came to charge: before it is tried again, and
// before the run goes back.
func (s *shop) charged(ctx context.Context, p *Purchase) (what saga.Outcome, err error) {
	what, p.Charge, err = s.look(ctx, charges)
	return what, err
}

func (s *shop) label(ctx context.Context, p *Purchase) (err error) {
	p.Label, err = s.make(ctx, labels, p.Order)
	return err
}

func (s *shop) invoice(ctx context.Context, p *Purchase) (err error) {
	p.Invoice, err = s.make(ctx, invoices, p.Order)
	return err
}

func (s *shop) ship(ctx context.Context, p *Purchase) (err error) {
	p.Parcel, err = s.make(ctx, parcels, p.Order)
	return err
}

// shipped decides whether the run may still go back, if no answer came to ship.
func (s *shop) shipped(ctx context.Context, p *Purchase) (what saga.Outcome, err error) {
	what, p.Parcel, err = s.look(ctx, parcels)
	return what, err
}

func (s *shop) mail(ctx context.Context, p *Purchase) (err error) {
	p.Mail, err = s.make(ctx, mails, p.Order)
	return err
}

// undo is the compensation of a step. It also accepts that there is nothing: whether
// an action without an answer took effect is for the service to know.
func (s *shop) undo(r resource) func(context.Context, *Purchase) error {
	return func(ctx context.Context, p *Purchase) error { return s.unmake(ctx, r, p.Order) }
}

// classify says what the answers of the services mean. Everything else, a timeout or
// a connection that broke, is unknown: the effect may be there.
func classify(err error) error {
	var status *statusError
	if !errors.As(err, &status) {
		return err
	}
	switch status.code {
	case http.StatusPaymentRequired, http.StatusConflict, http.StatusGone: // no, and no again
		return saga.Reject(err)
	case http.StatusTooManyRequests: // not now; nothing was done
		return saga.RetryAfter(saga.Reject(err), status.after)
	case http.StatusServiceUnavailable: // perhaps it was, if that came from somebody in between
		return saga.RetryAfter(err, status.after)
	}
	return err
}
