package shop

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

// A Paid is an event: an order is paid for.
type Paid struct{ Order, Mail string }

// A Sent is an event: the receipt is with the mail service.
type Sent struct{ Order string }

// A Mailer sends receipts.
type Mailer struct {
	URL    string // of the mail service
	Client *http.Client
	Sent   *eventbus.Topic[Sent]
}

// Subscribe makes a mailer send a receipt for every order. What it cannot send in four
// attempts goes to undelivered.
func (m *Mailer) Subscribe(ctx context.Context, paid *eventbus.Topic[Paid], undelivered *eventbus.Topic[eventbus.Failure]) error {
	_, err := paid.SubscribeWith(ctx, eventbus.SubscribeConfig[Paid]{
		Name:       "mailer",
		Timeout:    5 * time.Second, // of each attempt
		Retry:      eventbus.Retry{Attempts: 4, Wait: time.Second, MaxWait: 3 * time.Second},
		DeadLetter: undelivered,
	}, m.send)
	return err
}

func (m *Mailer) send(ctx context.Context, p Paid) error {
	form := strings.NewReader(url.Values{"to": {p.Mail}, "subject": {"Receipt for " + p.Order}}.Encode())
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, m.URL, form)
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := m.Client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("mail service: %s", resp.Status)
	}
	return m.Sent.Publish(ctx, Sent{p.Order})
}
