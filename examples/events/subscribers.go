package main

import (
	"context"
	"errors"
	"strings"

	"github.com/mainstay-go/mainstay/eventbus"
)

const (
	dashboardName = "dashboard"
	mailerName    = "mailer"
)

// A subscriber has a subscription and keeps what its handler saw.
type subscriber struct {
	*eventbus.Subscription
	seen []eventbus.Event[Order]
}

// A dashboard shows orders as they come. It is fast: an order is seen before the
// next one is placed.
type dashboard struct {
	subscriber
	saw chan struct{}
}

func newDashboard() *dashboard { return &dashboard{saw: make(chan struct{})} }

func (d *dashboard) subscribe(ctx context.Context, orders *eventbus.Topic[Order], cfg eventbus.SubscribeConfig[Order]) (err error) {
	cfg.Name = dashboardName
	d.Subscription, err = orders.SubscribeEvents(ctx, cfg, d.handle)
	return err
}

func (d *dashboard) handle(ctx context.Context, e eventbus.Event[Order]) error {
	d.seen = append(d.seen, e)
	return send(ctx, d.saw)
}

// A mailer sends a mail for every order, and is as slow as its mail server. That
// one is played by the program: each call of the handler tells that it has begun
// and returns only when it is told to, so that nothing depends on time.
type mailer struct {
	subscriber
	busy         bool // a mail is being sent; known to those who call begin and send
	began, ended chan struct{}
}

func newMailer() *mailer {
	return &mailer{began: make(chan struct{}), ended: make(chan struct{})}
}

func wantsMail(o Order) bool { return o.Email != "" }

func (m *mailer) subscribe(ctx context.Context, orders *eventbus.Topic[Order], cfg eventbus.SubscribeConfig[Order]) (err error) {
	cfg.Name = mailerName
	cfg.Filter = wantsMail
	m.Subscription, err = orders.SubscribeEvents(ctx, cfg, m.handle)
	return err
}

var errNoAddress = errors.New("no such address")

func (m *mailer) handle(ctx context.Context, e eventbus.Event[Order]) error {
	m.seen = append(m.seen, e)
	if err := errors.Join(send(ctx, m.began), receive(ctx, m.ended)); err != nil {
		return err
	}
	if strings.HasSuffix(e.Data.Email, ".invalid") {
		return errNoAddress
	}
	return nil
}

// begin waits until the handler is at the next mail.
func (m *mailer) begin(ctx context.Context) error {
	m.busy = true
	return receive(ctx, m.began)
}

// send has the mail server finish one mail, if there is one, and waits until the
// handler is at the next, if there is one.
func (m *mailer) send(ctx context.Context) error {
	if !m.busy {
		return nil
	}
	more := m.Stats().Depth > 0 // nothing but this one takes from the queue
	m.busy = false
	if err := send(ctx, m.ended); err != nil || !more {
		return err
	}
	return m.begin(ctx)
}

// send and receive meet each other, unless ctx ends.
func send(ctx context.Context, c chan<- struct{}) error {
	select {
	case c <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func receive(ctx context.Context, c <-chan struct{}) error {
	select {
	case <-c:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
