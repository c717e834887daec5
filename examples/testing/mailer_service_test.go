package shop_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
	shop "github.com/mainstay-go/mainstay/examples/testing"
)

// A mailService answers requests without a network, or by a real server.
type mailService struct {
	status []int // of the first answers; then it is 200. 0: no answer
	since  func() time.Duration
	asked  []time.Duration // when
	hangs  chan struct{}   // has one for every request that gets no answer
	client http.Client
}

func newMailService(since func() time.Duration, status ...int) *mailService {
	s := &mailService{status: status, since: since, hangs: make(chan struct{}, len(status))}
	s.client.Transport = s
	return s
}

func (s *mailService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm() // a server that has read the body notices when the client goes away
	s.asked = append(s.asked, s.since())
	switch n := len(s.asked); {
	case n > len(s.status):
	case s.status[n-1] == 0:
		s.hangs <- struct{}{}
		<-r.Context().Done()
	default:
		w.WriteHeader(s.status[n-1])
	}
}

func (s *mailService) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if err := context.Cause(r.Context()); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

// A desk is a bus with a mailer, and what comes of it.
type desk struct {
	bus         *eventbus.Bus
	paid        *eventbus.Topic[shop.Paid]
	sent        *eventbustest.Recorder[shop.Sent]
	undelivered *eventbustest.Recorder[eventbus.Failure]
}

// newDesk has the bus closed when the test is over; it fails if that cannot be drained.
func newDesk(t *testing.T, url string, client *http.Client, cfg eventbus.Config) desk {
	t.Helper()
	bus := eventbustest.NewBus(t, cfg)
	paid := eventbus.MustNewTopic[shop.Paid](bus, "orders.paid", eventbus.TopicConfig{})
	sent := eventbus.MustNewTopic[shop.Sent](bus, "mail.sent", eventbus.TopicConfig{})
	undelivered := eventbus.MustNewTopic[eventbus.Failure](bus, "mail.undelivered", eventbus.TopicConfig{})
	d := desk{bus, paid, eventbustest.Record(t, bus, sent), eventbustest.Record(t, bus, undelivered)}
	mailer := shop.Mailer{URL: url, Client: client, Sent: sent}
	require.NoError(t, mailer.Subscribe(t.Context(), paid, undelivered))
	return d
}
