package composedbench

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// What a call carries and what it is answered.
const (
	order  = `{"order":"o-7","cents":4200}`
	answer = `{"id":"c-7","state":"charged"}`
)

// A site is the servers of a service on loopback. All cases of a row call the
// same ones.
type site struct {
	addrs   []string
	servers []*server
}

// A server is one instance. It counts what it answers.
type server struct {
	http http.Server
	hits atomic.Int64
	down atomic.Bool // it answers 503 to everything
	over chan struct{}
}

// open starts so many servers.
func open(instances int) *site {
	s := &site{}
	for range instances {
		l := got((&net.ListenConfig{}).Listen(background, "tcp", "127.0.0.1:0"))
		one := &server{over: make(chan struct{})}
		one.http = http.Server{Handler: one, ReadHeaderTimeout: time.Minute}
		go func() {
			defer close(one.over)
			if err := one.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
				panic(err)
			}
		}()
		s.addrs, s.servers = append(s.addrs, l.Addr().String()), append(s.servers, one)
	}
	return s
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.hits.Add(1)
	if s.down.Load() {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	if r.Method == http.MethodPost {
		var buf [len(order) + 1]byte
		n, err := io.ReadFull(r.Body, buf[:])
		if !errors.Is(err, io.ErrUnexpectedEOF) || n != len(order) || r.Header.Get("Idempotency-Key") == "" {
			http.Error(w, "not an order with a key", http.StatusBadRequest)
			return
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, answer)
}

// begin forgets what was answered to others.
func (s *site) begin() {
	for _, one := range s.servers {
		one.hits.Store(0)
		one.down.Store(false)
	}
}

// hits are what the servers have answered, in all and the fewest of one.
func (s *site) hits() (all, least int) {
	for i, one := range s.servers {
		n := int(one.hits.Load())
		all += n
		if i == 0 || n < least {
			least = n
		}
	}
	return all, least
}

// fail has all of them answer 503 from now on.
func (s *site) fail() {
	for _, one := range s.servers {
		one.down.Store(true)
	}
}

func (s *site) close() {
	ctx, cancel := context.WithTimeout(background, time.Minute)
	defer cancel()
	for _, one := range s.servers {
		must(one.http.Shutdown(ctx))
		<-one.over
	}
}

// sites are opened when they are needed first.
type sites map[int]*site

func (s sites) of(instances int) *site {
	if s[instances] == nil {
		s[instances] = open(instances)
	}
	return s[instances]
}

func (s sites) close() {
	for n, one := range s {
		one.close()
		delete(s, n)
	}
}
