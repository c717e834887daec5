package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// The headers that a service goes by.
const (
	keyHeader   = "Idempotency-Key"
	undoHeader  = "Undo-Key"       // with DELETE: the key of the action
	afterHeader = "Retry-After-Ms" // Retry-After has but whole seconds
)

// breather is how long a busy service asks to be left alone.
const breather = 5 * time.Millisecond

// A reply is the body of every answer.
type reply struct {
	Receipt string `json:"receipt,omitempty"`
	Error   string `json:"error,omitempty"`
}

// A tally counts what the services have seen for one resource.
type tally struct {
	requests int
	found    map[finding]int
	faults   map[fault]int
}

// Services are stock, payment, shipping and mail, on one ledger. For each of the
// resources there is a POST to make it, a DELETE to undo that, and a GET that asks
// what has become of it.
type services struct {
	script script
	ledger *ledger
	moment func()        // is called at moments when it is bad to die
	over   chan struct{} // closed when nobody waits for an answer any more
	listen func(context.Context) (net.Listener, error)

	urls    map[resource]string
	servers []*http.Server

	mu      sync.Mutex
	seen    map[string]int // requests, by method and key
	tallies map[resource]*tally
}

// homes are where the resources are.
var homes = []struct {
	name string
	has  []resource
}{
	{"stock", []resource{reservations}},
	{"payment", []resource{charges, invoices}},
	{"shipping", []resource{labels, parcels}},
	{"mail", []resource{mails}},
}

func newServices(s script, l *ledger, moment func()) *services {
	all := &services{
		script: s, ledger: l, moment: moment, over: make(chan struct{}), listen: loopback,
		urls: make(map[resource]string), seen: make(map[string]int), tallies: make(map[resource]*tally),
	}
	for _, r := range resources {
		all.tallies[r] = &tally{found: make(map[finding]int), faults: make(map[fault]int)}
	}
	return all
}

func loopback(ctx context.Context) (net.Listener, error) {
	return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
}

// open makes the services listen, each on its own port of loopback.
func (s *services) open(ctx context.Context) error {
	for _, home := range homes {
		l, err := s.listen(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", home.name, err)
		}
		mux := http.NewServeMux()
		for _, r := range home.has {
			mux.Handle("/"+string(r), s.handler(r))
			s.urls[r] = fmt.Sprintf("http://%s/%s", l.Addr(), r)
		}
		server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
		s.servers = append(s.servers, server)
		go func() { _ = server.Serve(l) }() // until it is shut down
	}
	return nil
}

// close lets in what is still on its way, and waits for it.
func (s *services) close(ctx context.Context) error {
	close(s.over)
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, server.Shutdown(ctx))
	}
	return errors.Join(errs...)
}

// handler serves one resource.
func (s *services) handler(r resource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		var o Order
		key, doKey := req.Header.Get(keyHeader), req.Header.Get(undoHeader)
		body, err := io.ReadAll(req.Body) // all of it, or nobody notices when the client hangs up
		if err == nil && req.Method != http.MethodGet {
			err = json.Unmarshal(body, &o)
		}
		if err != nil || key == "" {
			answer(w, http.StatusBadRequest, reply{Error: "a key or an order is missing"})
			return
		}
		n := s.arrived(r, req.Method, key)
		v := visit{s, r, w, req}
		switch {
		case req.Method == http.MethodPost:
			f := s.script.fate(o.ID)
			v.serve(s.script.action(f, r, key, n), s.ledger.closed(key), func() (int, reply) {
				why := f.why
				if f.resource != r {
					why = ""
				}
				return v.act(key, o, why)
			})
		case req.Method == http.MethodDelete && doKey != "":
			v.serve(s.script.undoing(key, n), nil, func() (int, reply) {
				s.found(r, s.ledger.undo(doKey, r, o))
				return http.StatusOK, reply{}
			})
		case req.Method == http.MethodGet:
			v.serve(s.script.asking(key, n), nil, func() (int, reply) { return v.look(key) })
		default:
			answer(w, http.StatusMethodNotAllowed, reply{Error: "no such method, or no key to undo"})
		}
	})
}

// arrived counts a request, and tells how many with that key came before.
func (s *services) arrived(r resource, method, key string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.seen[method+" "+key]
	s.seen[method+" "+key]++
	s.tallies[r].requests++
	return n
}

func (s *services) found(r resource, what finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tallies[r].found[what]++
}

func (s *services) went(r resource, wrong fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tallies[r].faults[wrong]++
}

// A visit is one request.
type visit struct {
	*services
	r   resource
	w   http.ResponseWriter
	req *http.Request
}

// serve does something and answers, unless the script has a fault for it. Nothing
// takes time by itself: who waits for an answer that does not come decides how long.
func (v visit) serve(wrong fault, closed <-chan struct{}, act func() (int, reply)) {
	v.went(v.r, wrong)
	v.moment()
	switch wrong {
	case unavailable:
		answer(v.w, http.StatusServiceUnavailable, reply{Error: "down for a moment"})
		return
	case busy:
		v.w.Header().Set(afterHeader, strconv.FormatInt(breather.Milliseconds(), 10))
		answer(v.w, http.StatusTooManyRequests, reply{Error: "too many requests"})
		return
	case reset:
		panic(http.ErrAbortHandler)
	case mute:
		v.abandoned()
		return
	case straggling:
		select {
		case <-closed:
		case <-v.over:
		}
	default:
	}
	status, body := act()
	v.moment()
	switch wrong {
	case cut:
		panic(http.ErrAbortHandler)
	case late:
		v.abandoned()
	default:
	}
	answer(v.w, status, body)
}

// abandoned waits until nobody waits for the answer any more.
func (v visit) abandoned() {
	select {
	case <-v.req.Context().Done():
	case <-v.over:
	}
}

// act has an action done.
func (v visit) act(key string, o Order, why string) (int, reply) {
	what, text := v.ledger.do(key, v.r, o, why)
	v.found(v.r, what)
	switch what {
	case tooLate:
		return http.StatusGone, reply{Error: "it was undone"}
	case refused:
		if v.r == charges {
			return http.StatusPaymentRequired, reply{Error: text}
		}
		return http.StatusConflict, reply{Error: text}
	default:
		return http.StatusOK, reply{Receipt: text}
	}
}

// look tells what has become of an action. 404 is no promise: it may be on its way.
func (v visit) look(key string) (int, reply) {
	switch receipt, why := v.ledger.look(key); {
	case receipt != "":
		return http.StatusOK, reply{Receipt: receipt}
	case why != "":
		return http.StatusConflict, reply{Error: why}
	default:
		return http.StatusNotFound, reply{Error: "not known yet"}
	}
}

func answer(w http.ResponseWriter, status int, body reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may have gone
}
