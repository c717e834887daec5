package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A backend is a real HTTP server that has registered itself. It takes orders and
// tells about them.
type backend struct {
	id     string
	addr   string
	lease  *registry.Lease
	ledger *ledger
	takes  atomic.Int64         // the time to answer
	hold   atomic.Pointer[hold] // what calls wait for; nil: nothing
	asker  *http.Client

	http http.Server
	die  context.CancelFunc // ends the heartbeat
	runs sync.WaitGroup     // the server and the heartbeat
	over atomic.Bool
}

// servedBy is the header in which a backend tells its ID.
const servedBy = "X-Instance"

// startBackend registers a backend and serves on l, which is the backend's from
// now on.
func startBackend(ctx context.Context, id string, l net.Listener, r *registry.Registry, s script, n network, books *ledger) (*backend, error) {
	b := &backend{id: id, addr: l.Addr().String(), ledger: books, asker: n.asker()}
	b.become(s.answer)
	check := s.check
	check.Func = registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Client: b.asker})
	// It listens already: who connects before it serves has to wait a moment.
	lease, err := r.Register(ctx, registry.Instance{
		ID: id, Service: service, Addr: b.addr, TTL: s.ttl, Check: check,
	})
	if err != nil {
		l.Close()
		return nil, err
	}
	b.lease = lease
	health, err := registryhttp.NewHandler(r, registryhttp.HandlerConfig{Leases: []*registry.Lease{lease}})
	if err != nil {
		l.Close()
		return nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("GET /healthz", health)
	mux.Handle("GET /readyz", health)
	mux.HandleFunc("GET /{order}", b.show)
	mux.HandleFunc("POST /{$}", b.place)
	b.http = http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	beat, stop := context.WithCancel(context.Background())
	b.die = stop
	b.runs.Go(func() { _ = lease.KeepAlive(beat) }) // until it is lost, or nobody's
	b.runs.Go(func() { _ = b.http.Serve(l) })       // always an error: that of the end
	return b, nil
}

func (b *backend) become(takes time.Duration) { b.takes.Store(int64(takes)) }

// show answers a GET.
func (b *backend) show(w http.ResponseWriter, r *http.Request) {
	b.work(r.Context())
	b.answer(w, http.StatusOK, "order "+r.PathValue("order")+" is on its way\n")
}

// place answers a POST. It writes the order down first, so one that is cut off
// has been placed and is sent again: only the key tells that it is no other.
func (b *backend) place(w http.ResponseWriter, r *http.Request) {
	order, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		http.Error(w, "cannot read the order", http.StatusBadRequest)
		return
	}
	b.ledger.place(r.Header.Get("Idempotency-Key"), string(order))
	b.work(r.Context())
	b.answer(w, http.StatusCreated, "placed\n")
}

func (b *backend) answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set(servedBy, b.id)
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text) // to who may have gone away
}

// work takes the time of an answer. It ends the call if nobody waits for that any
// more: to return would answer it.
func (b *backend) work(ctx context.Context) {
	ok := pause(ctx, time.Duration(b.takes.Load()))
	if h := b.hold.Load(); ok && h != nil {
		ok = h.wait(ctx)
	}
	if !ok {
		panic(http.ErrAbortHandler)
	}
}

// crash ends the backend as the death of its process would: calls are cut off,
// connections closed, and nobody is told.
func (b *backend) crash() {
	b.over.Store(true)
	b.die()
	_ = b.http.Close()
	b.runs.Wait()
}

// leave ends the backend as one should: it takes itself out of the registry,
// which waits for the calls under way, and only then stops listening.
func (b *backend) leave(ctx context.Context) error {
	err := b.lease.Drain(ctx)
	if err == nil {
		err = b.http.Shutdown(ctx)
	}
	b.crash() // what is left, if anything
	return err
}

// holdCalls keeps all calls from being answered from now on.
func (b *backend) holdCalls(enough int) *hold {
	h := newHold(enough)
	b.hold.Store(h)
	return h
}

// ready is what /readyz says.
func (b *backend) ready(ctx context.Context) (bool, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.addr+"/readyz", http.NoBody)
	if err != nil {
		return false, err
	}
	resp, err := b.asker.Do(req)
	if err != nil {
		return false, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return true, nil
	case http.StatusServiceUnavailable:
		return false, nil
	}
	return false, fmt.Errorf("/readyz answers %s", resp.Status)
}
