package registryhttp

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
)

// A Transport is an [http.RoundTripper] that sends requests for a service to one
// of its instances: http://orders/42 goes to an instance of "orders". Make one
// with [NewTransport] and keep it, since it knows how the instances do. All
// methods may be used concurrently. There is nothing to close.
//
// A request is tried again on another instance if its balancer allows it
// (Config.Retry), its body can be repeated (there is none, or GetBody), and
// repeating it is safe: the method is idempotent, it has an Idempotency-Key
// header, or the connection could not even be made.
type Transport struct {
	reg  *registry.Registry
	cfg  TransportConfig
	base http.RoundTripper
	tls  tlsNames

	guards sync.Pool // of *guard

	clients sync.Map     // service to *client
	made    atomic.Int64 // clients, since those that nobody needs were forgotten
	left    atomic.Int64 // how many there were then
}

// NewTransport makes a transport. Its error joins all problems of cfg; each names
// the field and the value. It starts nothing.
func NewTransport(r *registry.Registry, cfg TransportConfig) (*Transport, error) {
	if r == nil {
		return nil, errNilRegistry
	}
	if cfg.PerService == nil {
		general := withDefaults(cfg.Balancer)
		if _, err := balance.New(r.Service("any"), general); err != nil {
			return nil, fmt.Errorf("registryhttp: Balancer: %w", err)
		}
		cfg.PerService = func(string) balance.Config { return general }
	}
	if cfg.ServiceOf == nil {
		cfg.ServiceOf = serviceOf
	}
	if cfg.Key == nil {
		cfg.Key = func(*http.Request) uint64 { return 0 }
	}
	t := &Transport{reg: r, cfg: cfg, base: cfg.Base}
	if t.base == nil {
		t.base = defaultBase()
	}
	t.guards.New = newGuard
	t.tls.init(t.base, cfg.MaxTLSNames)
	return t, nil
}

// MustNewTransport is [NewTransport] for package-level variables: it panics with
// its error.
func MustNewTransport(r *registry.Registry, cfg TransportConfig) *Transport {
	t, err := NewTransport(r, cfg)
	if err != nil {
		panic(err)
	}
	return t
}

// A client is what a transport has for a service.
type client struct {
	once    sync.Once
	err     error
	lb      *balance.Balancer
	hold    atomic.Int32  // kept, dropped, or neither
	timeout time.Duration // of an attempt; 0: none
	clock   registry.Clock
}

const (
	kept    = 1 + iota // somebody else has the balancer, so it has to stay
	dropped            // it is in the map no more, or will not be in a moment
)

// keep reports whether the client stays from now on.
func (c *client) keep() bool {
	return c.hold.CompareAndSwap(0, kept) || c.hold.Load() == kept
}

// drop takes a client out unless it is to stay, and reports whether it did.
func (t *Transport) drop(service string, c *client) bool {
	if !c.hold.CompareAndSwap(0, dropped) {
		return false
	}
	t.clients.CompareAndDelete(service, c)
	return true
}

// Balancer is the balancer of a service, which is made if there is none.
func (t *Transport) Balancer(service string) (*balance.Balancer, error) {
	if t == nil || t.base == nil {
		return nil, errZeroTransport
	}
	for {
		c, err := t.client(service)
		if err != nil {
			return nil, err
		}
		if c.keep() {
			return c.lb, nil
		}
		t.clients.CompareAndDelete(service, c) // as whoever drops it is about to
	}
}

// client is made on first use, whoever asks.
func (t *Transport) client(service string) (*client, error) {
	v, ok := t.clients.Load(service)
	if !ok {
		if t.made.Add(1) > 64+t.left.Load() {
			t.forget()
		}
		v, _ = t.clients.LoadOrStore(service, &client{})
	}
	return t.ready(service, v.(*client))
}

// ready makes what is in a client, unless somebody has.
func (t *Transport) ready(service string, c *client) (*client, error) {
	c.once.Do(func() {
		c.err = fmt.Errorf("registryhttp: PerService(%q) did not return", service)
		cfg := withDefaults(t.cfg.PerService(service))
		svc := t.reg.Service(service)
		c.timeout, c.clock = cfg.Retry.AttemptTimeout, svc.Clock()
		if c.lb, c.err = balance.New(svc, cfg); c.err != nil {
			c.err = fmt.Errorf("registryhttp: PerService(%q): %w", service, c.err)
		}
	})
	return c, c.err
}

// forget drops the clients of services that have vanished. It is called when they
// may have doubled.
func (t *Transport) forget() {
	t.made.Store(0)
	left := int64(0)
	for name, v := range t.clients.Range {
		if t.reg.Service(name.(string)).Snapshot().Len() > 0 || !t.drop(name.(string), v.(*client)) {
			left++
		}
	}
	t.left.Store(left)
}

// known is client for requests: it keeps nothing for a name without instances,
// as anybody may make up names, and services come and go.
func (t *Transport) known(service string) (*client, error) {
	v, ok := t.clients.Load(service)
	if ok && v.(*client).hold.Load() == kept {
		return t.ready(service, v.(*client))
	}
	svc := t.reg.Service(service)
	switch {
	case svc.Err() != nil:
		return nil, &balance.Error{Service: service, Kind: registry.ErrClosed}
	case svc.Snapshot().Len() == 0:
		if ok {
			t.drop(service, v.(*client))
		}
		return nil, &balance.Error{Service: service, Kind: balance.ErrNoInstances}
	case ok:
		return t.ready(service, v.(*client))
	}
	return t.client(service)
}

// CloseIdleConnections closes those of Base and of its clones, for http.Client.
func (t *Transport) CloseIdleConnections() {
	if t == nil || t.base == nil {
		return
	}
	closeIdle(t.base)
	t.tls.closeIdle()
}

func closeIdle(rt http.RoundTripper) {
	if c, ok := rt.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// RoundTrip sends a request to an instance of its service, and after a failure to
// others, if that is safe; see [Transport]. The request is not changed, and its
// Body is closed whatever happens. The last response is returned as it came, and
// the last error as Base returned it. If no instance could be picked for the
// first attempt, nothing was sent and the error is a *balance.Error.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if req == nil {
		return nil, errNilRequest
	}
	sent := false
	defer func() {
		// From the moment Base is called closing is for Base to do.
		if !sent && req.Body != nil {
			req.Body.Close()
		}
	}()
	switch {
	case t == nil || t.base == nil:
		return nil, errZeroTransport
	case req.URL == nil:
		return nil, errNilURL
	}
	service := t.cfg.ServiceOf(req)
	if service == "" {
		sent = true
		return t.base.RoundTrip(req)
	}
	c, err := t.known(service)
	if err != nil {
		return nil, err
	}
	a := c.lb.Attempts(req.Context(), balance.Query{Key: t.cfg.Key(req)})
	p, err := a.Next(nil)
	if err != nil {
		return nil, err
	}
	return t.attempts(c, req, &a, p, &sent)
}

// attempts makes attempts until one is good or there is no further one.
func (t *Transport) attempts(c *client, req *http.Request, a *balance.Attempts, p balance.Pick, sent *bool) (*http.Response, error) {
	for first := req.Body; ; {
		u := &use{t: t, c: c, req: req, pick: p}
		resp, err := u.send(first, sent)
		var problem error
		if err != nil {
			problem = u.told(err)
		} else {
			problem = statusError(resp)
		}
		if problem == nil || !u.repeatable(problem) {
			return u.result(resp, err, problem)
		}
		next, again, ok := u.another(a, resp, problem)
		if !ok {
			return u.result(resp, err, problem)
		}
		u.handOver(resp, problem, next, again)
		p, first = next, again
	}
}

// another picks the instance for another attempt. It calls functions of the
// user's: if one of them does not return, this attempt is over.
func (u *use) another(a *balance.Attempts, resp *http.Response, problem error) (next balance.Pick, again io.ReadCloser, ok bool) {
	returned := false
	defer func() {
		if !ok && again != nil {
			again.Close()
		}
		if !returned {
			if resp != nil && resp.Body != nil {
				resp.Body.Close()
			}
			u.end(problem)
		}
	}()
	again, err := rewound(u.req)
	if err == nil {
		next, err = a.Next(problem)
	}
	returned = true
	return next, again, err == nil
}

// handOver ends an attempt that is followed by another one, for which all is
// ready: if something of the user's panics, that is given back.
func (u *use) handOver(resp *http.Response, problem error, next balance.Pick, again io.ReadCloser) {
	returned := false
	defer func() {
		if !returned {
			defer next.Done(aborted())
			if again != nil {
				again.Close()
			}
		}
	}()
	u.discard(resp, problem)
	returned = true
}
