package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// A fault is what is wrong with a faultServer. The zero fault is nothing: every
// call is answered at once, with 200 and a short body.
type fault struct {
	delay      time.Duration // before the answer begins
	status     int           // of the answer; zero: 200
	retryAfter time.Duration // what the answer asks for, in whole seconds; zero: nothing
	reset      bool          // no answer at all: the connection is reset
	hang       bool          // the body stops half-way, until the client gives up
}

// A faultServer is a real HTTP server whose fault can be changed while it runs.
// It counts the calls that reach it, so that clients need not be believed.
type faultServer struct {
	http   http.Server
	fault  atomic.Pointer[fault]
	conns  atomic.Int64
	giveUp context.CancelFunc // ends the calls that are under way
	served chan struct{}      // closed when the server accepts no more

	mu   sync.Mutex
	seen map[string]int // calls by User-Agent
}

// serve starts a healthy server on l. The server owns l, and close ends both.
func serve(l net.Listener) *faultServer {
	ctx, cancel := context.WithCancel(context.Background())
	s := &faultServer{giveUp: cancel, served: make(chan struct{}), seen: make(map[string]int)}
	s.become(fault{})
	s.http = http.Server{
		Handler:           s,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         s.track,
		ReadHeaderTimeout: 10 * time.Second,
	}
	go func() {
		defer close(s.served)
		_ = s.http.Serve(l) // always an error: that of close
	}()
	return s
}

// become changes the fault for the calls to come.
func (s *faultServer) become(f fault) { s.fault.Store(&f) }

// calls is how many calls of a client, known by its User-Agent, have come.
func (s *faultServer) calls(client string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen[client]
}

// connections is how many are open, idle ones too.
func (s *faultServer) connections() int { return int(s.conns.Load()) }

// close ends all that is under way and waits for it, at most until ctx is done.
func (s *faultServer) close(ctx context.Context) error {
	s.giveUp()
	err := s.http.Shutdown(ctx)
	if err != nil {
		_ = s.http.Close()
	}
	<-s.served
	return err
}

// ServeHTTP treats a call as the fault of its arrival demands.
func (s *faultServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f := *s.fault.Load()
	s.mu.Lock()
	s.seen[r.UserAgent()]++
	s.mu.Unlock()
	// Only after the whole body does net/http tell when the client goes away.
	_, _ = io.Copy(io.Discard, r.Body)

	if !pause(r.Context(), f.delay) {
		panic(http.ErrAbortHandler) // to return would answer 200
	}
	if f.reset {
		reset(w)
		return
	}
	f.answer(w, r)
}

func (f fault) answer(w http.ResponseWriter, r *http.Request) {
	if f.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.retryAfter/time.Second)))
	}
	status := f.status
	if status == 0 {
		status = http.StatusOK
	}
	body := http.StatusText(status) + "\n"
	half := len(body) / 2
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	_, _ = io.WriteString(w, body[:half]) // to a client that may be gone, as below
	if f.hang {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	_, _ = io.WriteString(w, body[half:])
}

// reset breaks the connection off without an answer.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler) // not HTTP/1: net/http breaks off the stream
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset rather than an orderly end
	}
	_ = conn.Close()
}

// pause waits for d and reports whether ctx lasted that long.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *faultServer) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Add(-1)
	case http.StateActive, http.StateIdle:
	}
}
