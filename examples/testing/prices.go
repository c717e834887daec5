package shop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

const (
	patience = 2 * time.Second // with the price service
	tooOld   = time.Hour       // for a price to be shown
)

// ErrNoItem is that the price service does not know an item.
var ErrNoItem = errors.New("no such item")

// A Price is what an item costs, and when the service said so.
type Price struct {
	Cents int
	At    time.Time
}

// Prices asks the price service. While that is down customers see the last price
// that is known, and the service is left alone.
type Prices struct {
	url    string
	client *http.Client
	clock  breaker.Clock
	guard  *breaker.Breaker

	mu    sync.Mutex
	known map[string]Price
}

// NewPrices is about the service at a URL. Nil is system time.
func NewPrices(url string, client *http.Client, clock breaker.Clock) *Prices {
	return &Prices{
		url: url, client: client, clock: clock, known: make(map[string]Price),
		guard: breaker.MustNew("prices", breaker.Config{
			Trip:    breaker.ConsecutiveFailures(3),
			OpenFor: 30 * time.Second, Backoff: 2, // 30s, 1min, 2min ...
			CloseAfter: 2,
			Classify:   classify,
			Clock:      clock,
		}),
	}
}

// classify takes it for an answer like any other that there is no such item.
func classify(ctx context.Context, err error) breaker.Outcome {
	if errors.Is(err, ErrNoItem) {
		return breaker.Success
	}
	return breaker.DefaultClassify(ctx, err)
}

// Of is the price of an item. If the service cannot be asked it is the last one that
// is known, unless that is too old.
func (p *Prices) Of(ctx context.Context, item string) (Price, error) {
	price, err := breaker.Do(ctx, p.guard, func(ctx context.Context) (Price, error) {
		return p.ask(ctx, item)
	})
	p.mu.Lock()
	defer p.mu.Unlock()
	switch last, ok := p.known[item]; {
	case err == nil:
		p.known[item] = price
		return price, nil
	case ok && !errors.Is(err, ErrNoItem) && p.now().Sub(last.At) <= tooOld:
		return last, nil
	}
	return Price{}, err
}

// Guard is how the breaker is, for the status page.
func (p *Prices) Guard() breaker.Snapshot { return p.guard.Snapshot() }

// now is on the clock of the breaker: with two clocks nothing could be tested.
func (p *Prices) now() time.Time {
	if p.clock == nil {
		return time.Now()
	}
	return p.clock.Now()
}

func (p *Prices) ask(ctx context.Context, item string) (Price, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.url+"/prices/"+url.PathEscape(item), nil)
	if err != nil {
		return Price{}, err
	}
	resp, err := p.client.Do(req)
	if err != nil {
		return Price{}, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		price := Price{At: p.now()}
		err = json.NewDecoder(resp.Body).Decode(&price.Cents)
		return price, err
	case http.StatusNotFound:
		return Price{}, fmt.Errorf("%s: %w", item, ErrNoItem)
	}
	return Price{}, fmt.Errorf("price service: %s", resp.Status)
}
