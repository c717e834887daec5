package main

import (
	"encoding/json"
	"io"
	"net/http"
	"sync"
	"time"
)

const (
	keyHeader  = "Idempotency-Key"
	undoHeader = "Undo-Key" // the key of the action that a DELETE undoes
	maxBody    = 64 << 10
)

// A reply is the body of every answer.
type reply struct {
	Receipt string `json:"receipt,omitempty"`
	Error   string `json:"error,omitempty"`
}

// A counter is where a service is asked for something: a POST makes a resource, a
// DELETE undoes that, a GET asks what has become of it. All instances of a service
// have one each, on the same database.
type counter struct {
	service  service
	database *database
	script   script
	tempo    tempo
	suffers  func() fault // what is wrong with the instance

	mu     sync.Mutex
	visits map[fault]int // requests, by what went wrong with them
}

func (c *counter) handler(over <-chan struct{}) http.Handler {
	mux := http.NewServeMux()
	for _, r := range c.service.resources {
		mux.HandleFunc("/"+string(r), func(w http.ResponseWriter, req *http.Request) { c.visit(w, req, r, over) })
	}
	return mux
}

// visit serves a request, with what is wrong with the instance. It does not stop when
// the caller leaves: what has arrived is done.
func (c *counter) visit(w http.ResponseWriter, req *http.Request, r resource, over <-chan struct{}) {
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		answer(w, http.StatusBadRequest, reply{Error: "the request breaks off"})
		return
	}
	f := c.suffers()
	c.count(f)
	switch f {
	case storm:
		w.Header().Set("Retry-After", "1")
		answer(w, http.StatusServiceUnavailable, reply{Error: "too much to do"})
		return
	case slow:
		if !pause(c.tempo.slowness(), over) {
			panic(http.ErrAbortHandler)
		}
	default:
	}
	status, text := c.act(req, r, body)
	if f == late && !pause(c.tempo.slowness(), over) {
		panic(http.ErrAbortHandler)
	}
	answer(w, status, text)
}

func (c *counter) count(f fault) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.visits[f]++
}

// act does what a request asks for.
func (c *counter) act(req *http.Request, r resource, body []byte) (int, reply) {
	key := req.Header.Get(keyHeader)
	if key == "" {
		return http.StatusBadRequest, reply{Error: keyHeader + " is missing"}
	}
	switch req.Method {
	case http.MethodPost:
		var o Order
		if err := json.Unmarshal(body, &o); err != nil {
			return http.StatusBadRequest, reply{Error: "the order is no order: " + err.Error()}
		}
		return c.make(key, r, o)
	case http.MethodDelete:
		doKey := req.Header.Get(undoHeader)
		if doKey == "" {
			return http.StatusBadRequest, reply{Error: undoHeader + " is missing"}
		}
		c.database.undo(doKey)
		return http.StatusOK, reply{}
	case http.MethodGet:
		switch receipt, why := c.database.look(key); {
		case receipt != "":
			return http.StatusOK, reply{Receipt: receipt}
		case why != "":
			return http.StatusConflict, reply{Error: why}
		}
		return http.StatusNotFound, reply{Error: "not known yet"} // no promise: it may be on its way
	}
	return http.StatusMethodNotAllowed, reply{Error: "no such method"}
}

func (c *counter) make(key string, r resource, o Order) (int, reply) {
	no := c.script.refusal(original(o.ID))
	if no.resource != r {
		no.why = ""
	}
	switch what, text := c.database.do(key, r, o, no.why); what {
	case tooLate:
		return http.StatusGone, reply{Error: "it was undone"}
	case refused:
		return http.StatusConflict, reply{Error: text}
	default:
		return http.StatusOK, reply{Receipt: text}
	}
}

// pause waits, and reports whether it was not over before.
func pause(d time.Duration, over <-chan struct{}) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-over:
		return false
	}
}

func answer(w http.ResponseWriter, status int, body reply) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(body) // to a client that may have gone
}
