package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/balance"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// guard makes a breaker per instance the gate of a balancer. This is all that
// connects the two packages.
func guard(breakers *breaker.Group[string]) func(*registry.Endpoint) balance.Gate {
	return func(e *registry.Endpoint) balance.Gate {
		return balance.GateFunc(func(ctx context.Context) (func(error), error) {
			// Get per call: a group may forget what it does not see used.
			p, err := breakers.Get(e.Addr()).Allow(ctx)
			if err != nil {
				return nil, err
			}
			return p.Done, nil
		})
	}
}

// newProxy makes the handler that sends calls to /orders/ to an instance of the
// service.
func newProxy(rt http.RoundTripper) http.Handler {
	target := &url.URL{Scheme: "http", Host: service}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.SetXForwarded()
		},
		Transport:    rt,
		ErrorHandler: refuse,
	}
	mux := http.NewServeMux()
	// One prefix for each service that is open to the world. A gateway that took
	// the name from the URL would send its callers wherever they like.
	mux.Handle("/"+service+"/", http.StripPrefix("/"+service, repeatable(proxy)))
	return mux
}

// refuse answers a call that no backend answered.
func refuse(w http.ResponseWriter, _ *http.Request, err error) {
	switch {
	case breakerhttp.WriteRejection(w, err): // the breakers refused: it tells when to come again
	case errors.Is(err, balance.ErrNoInstances):
		http.Error(w, "no instance available", http.StatusServiceUnavailable)
	default:
		http.Error(w, "no answer from "+service, http.StatusBadGateway)
	}
}

// maxBody is the most that is kept of a body, to send it again.
const maxBody = 64 << 10

// repeatable reads a body before the call goes on. As it comes from the network
// it could be sent once only, and no call with one could be tried again.
func repeatable(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			status := http.StatusBadRequest
			if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
				status = http.StatusRequestEntityTooLarge
			}
			http.Error(w, http.StatusText(status), status)
			return
		}
		r = r.Clone(r.Context())
		r.ContentLength, r.TransferEncoding = int64(len(body)), nil
		r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
		r.Body, _ = r.GetBody() // never an error, as above
		next.ServeHTTP(w, r)
	})
}

// A gateway is the server that clients call.
type gateway struct {
	addr     string
	outbound *registryhttp.Transport
	balancer *balance.Balancer // of the service
	http     http.Server
	runs     sync.WaitGroup
}

// startGateway serves on l, which is the gateway's from now on.
func startGateway(l net.Listener, r *registry.Registry, cfg registryhttp.TransportConfig) (*gateway, error) {
	outbound, err := registryhttp.NewTransport(r, cfg)
	if err != nil {
		l.Close()
		return nil, err
	}
	lb, err := outbound.Balancer(service)
	if err != nil {
		l.Close()
		return nil, err
	}
	g := &gateway{addr: l.Addr().String(), outbound: outbound, balancer: lb}
	g.http = http.Server{Handler: newProxy(outbound), ReadHeaderTimeout: 10 * time.Second}
	g.runs.Go(func() { _ = g.http.Serve(l) }) // always an error: that of close
	return g, nil
}

// retries is how many attempts have been made again so far.
func (g *gateway) retries() uint64 { return g.balancer.Stats().Retries }

// close ends the gateway and waits for its calls.
func (g *gateway) close(ctx context.Context) error {
	err := g.http.Shutdown(ctx)
	if err != nil {
		_ = g.http.Close()
	}
	g.runs.Wait()
	g.outbound.CloseIdleConnections()
	return err
}
