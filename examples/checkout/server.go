package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A server is one instance of a service: a real HTTP server on loopback, which
// registers itself. It can die and be started again, at the same address.
type server struct {
	id, service string
	reg         *registry.Registry
	tempo       tempo
	asker       *http.Client // of health checks
	// handler makes what it serves. over is closed when the server dies.
	handler func(over <-chan struct{}) http.Handler
	ailment atomic.Pointer[ailment] // what is wrong with it on purpose; nil: nothing

	mu   sync.Mutex
	addr string
	life *life // nil: it is dead
}

// An ailment is a fault, until somebody takes it away. Two of the same fault are two.
type ailment struct{ fault fault }

// A life is from one start to the next death.
type life struct {
	lease *registry.Lease
	http  *http.Server
	over  chan struct{}
	die   context.CancelFunc // ends the heartbeat
	runs  sync.WaitGroup     // the server and the heartbeat
}

// start brings the server to life, unless it is alive.
func (s *server) start(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life != nil {
		return nil
	}
	listener, err := listen(ctx, s.addr)
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	// It listens already: who connects before it serves has to wait a moment.
	lease, err := s.reg.Register(ctx, registry.Instance{
		ID: s.id, Service: s.service, Addr: s.addr, TTL: s.tempo.lease(),
		Check: registry.Check{
			Func:     registryhttp.HTTPCheck(registryhttp.HTTPCheckConfig{Client: s.asker, Path: "/healthz"}),
			Interval: s.tempo.lease() / 2,
		},
	})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	health, err := registryhttp.NewHandler(s.reg, registryhttp.HandlerConfig{Leases: []*registry.Lease{lease}})
	if err != nil {
		return errors.Join(err, lease.Deregister(), listener.Close())
	}
	l := &life{lease: lease, over: make(chan struct{})}
	mux := http.NewServeMux()
	mux.Handle("/healthz", health)
	mux.Handle("/", s.handler(l.over))
	l.http = &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second, ErrorLog: log.New(io.Discard, "", 0)}
	beat, die := context.WithCancel(context.Background())
	l.die = die
	l.runs.Go(func() { _ = lease.KeepAlive(beat) })  // until it is lost, or the server dies
	l.runs.Go(func() { _ = l.http.Serve(listener) }) // always an error: that of the end
	s.life = l
	return nil
}

// listen is at an address if there is one and it is free, else anywhere.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	var lc net.ListenConfig
	if addr != "" {
		if l, err := lc.Listen(ctx, "tcp", addr); err == nil {
			return l, nil
		}
	}
	return lc.Listen(ctx, "tcp", "127.0.0.1:0")
}

// kill ends the server as the death of its process would: calls are cut off,
// connections closed, and nobody is told. It reports whether it was alive.
func (s *server) kill() bool {
	s.mu.Lock()
	l := s.life
	s.life = nil
	s.mu.Unlock()
	if l == nil {
		return false
	}
	l.end()
	return true
}

func (l *life) end() {
	l.die()
	close(l.over)
	_ = l.http.Close()
	l.runs.Wait()
}

// leave ends the server as one should: it takes itself out of the registry, which
// waits for the calls under way, and only then stops listening.
func (s *server) leave(ctx context.Context) error {
	s.mu.Lock()
	l := s.life
	s.life = nil
	s.mu.Unlock()
	if l == nil {
		return nil
	}
	err := l.lease.Drain(ctx)
	if errors.Is(err, registry.ErrLeaseLost) { // it has expired on a machine that was too busy
		err = nil
	}
	err = errors.Join(err, l.http.Shutdown(ctx))
	l.end() // what is left, if anything
	return err
}

// suffers is what is wrong with the server now.
func (s *server) suffers() fault {
	s.mu.Lock()
	alive := s.life != nil
	s.mu.Unlock()
	if !alive {
		return kill
	}
	if a := s.ailment.Load(); a != nil {
		return a.fault
	}
	return well
}

// where is its address; "" before the first start.
func (s *server) where() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.addr
}
