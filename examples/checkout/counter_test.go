package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A desk is a counter of payment that somebody stands at.
type desk struct {
	*counter
	ill  fault
	over chan struct{} // closed when the instance dies
}

func newDesk() *desk {
	d := &desk{over: make(chan struct{})}
	d.counter = &counter{
		service: services[1], database: newDatabase(), script: script{1}, visits: make(map[fault]int),
		suffers: func() fault { return d.ill },
	}
	return d
}

// ask is a request. Who gets no answer gets the status 0.
func (d *desk) ask(t *testing.T, method, path, key, doKey, body string) (status int, got reply, header http.Header) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	req.Header.Set(keyHeader, key)
	req.Header.Set(undoHeader, doKey)
	w := httptest.NewRecorder()
	defer func() {
		if p := recover(); p != nil {
			assert.Equal(t, http.ErrAbortHandler, p)
			status = 0
		}
	}()
	d.handler(d.over).ServeHTTP(w, req)
	if w.Header().Get("Content-Type") == "application/json" {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &got))
	}
	return w.Code, got, w.Header()
}

func body(t *testing.T, o Order) string {
	t.Helper()
	data, err := json.Marshal(o)
	require.NoError(t, err)
	return string(data)
}

// meets is an order that meets the refusal of a resource; "": none.
func meets(t *testing.T, r resource) Order {
	t.Helper()
	for _, o := range someOrders(t, 0, 359) {
		if (script{1}).refusal(o.ID).resource == r {
			return o
		}
	}
	require.Fail(t, "no such order", "%s", r)
	return Order{}
}

// Requests one after the other, of one who pays and of one whose card is declined.
func TestCounter(t *testing.T) {
	d := newDesk()
	good, declined := body(t, meets(t, "")), body(t, meets(t, charges))
	more := meets(t, charges)
	more.ID += mark + "2"
	elsewhere := meets(t, parcels)
	for i, tc := range []struct {
		method, path, key, doKey, body string
		status                         int
		want                           reply
	}{
		{"GET", "/charges", "a", "", "", 404, reply{Error: "not known yet"}},
		{"POST", "/charges", "a", "", good, 200, reply{Receipt: "charges-1"}},
		{"POST", "/charges", "a", "", good, 200, reply{Receipt: "charges-1"}},
		{"GET", "/charges", "a", "", "", 200, reply{Receipt: "charges-1"}},
		{"POST", "/invoices", "b", "", good, 200, reply{Receipt: "invoices-2"}},
		{"DELETE", "/charges", "c", "a", "", 200, reply{}},
		{"DELETE", "/charges", "c", "a", "", 200, reply{}},
		{"POST", "/charges", "a", "", good, 410, reply{Error: "it was undone"}},
		{"GET", "/charges", "a", "", "", 409, reply{Error: "undone"}},

		{"POST", "/charges", "d", "", declined, 409, reply{Error: "card declined"}},
		{"POST", "/charges", "d", "", declined, 409, reply{Error: "card declined"}},
		{"GET", "/charges", "d", "", "", 409, reply{Error: "card declined"}},
		{"POST", "/charges", "e", "", body(t, more), 409, reply{Error: "card declined"}}, // in a later round, too
		{"POST", "/invoices", "f", "", declined, 200, reply{Receipt: "invoices-4"}},      // another resource
		{"POST", "/charges", "g", "", body(t, elsewhere), 200, reply{Receipt: "charges-5"}},

		{"DELETE", "/charges", "h", "i", "", 200, reply{}}, // before it comes
		{"POST", "/charges", "i", "", good, 410, reply{Error: "it was undone"}},

		{"POST", "/charges", "", "", good, 400, reply{Error: "Idempotency-Key is missing"}},
		{"DELETE", "/charges", "j", "", "", 400, reply{Error: "Undo-Key is missing"}},
		{"DELETE", "/charges", "", "g", "", 400, reply{Error: "Idempotency-Key is missing"}},
		{"PUT", "/charges", "k", "", good, 405, reply{Error: "no such method"}},
		{"POST", "/charges", "k", "", "lamp", 400, reply{Error: "the order is no order: invalid character 'l' looking for beginning of value"}},
		{"POST", "/parcels", "k", "", good, 404, reply{}}, // not here
		{"POST", "/charges", "k", "", good + strings.Repeat(" ", maxBody), 400, reply{Error: "the request breaks off"}},
	} {
		status, got, _ := d.ask(t, tc.method, tc.path, tc.key, tc.doKey, tc.body)
		assert.Equal(t, tc.status, status, "%d: %s %s", i, tc.method, tc.path)
		assert.Equal(t, tc.want, got, "%d: %s %s", i, tc.method, tc.path)
	}
	b := d.database.books()
	assert.Len(t, b.postings, 5)
	assert.Equal(t, map[finding]int{booked: 4, again: 2, tooLate: 2, refused: 3, reversed: 1, nothing: 1}, b.found)
	assert.Equal(t, map[fault]int{well: 22}, d.visited())
}

// The effect of a request, and its answer, with each fault. The client waits as long as
// it takes.
func TestCounter_faults(t *testing.T) {
	for _, tc := range []struct {
		ill          fault
		status       int
		after        string // Retry-After
		done, answer time.Duration
	}{
		{well, 200, "", 0, 0},
		{storm, 503, "1", -1, 0},
		{slow, 200, "", tempo{}.slowness(), tempo{}.slowness()},
		{late, 200, "", 0, tempo{}.slowness()},
	} {
		t.Run("fault "+string(tc.ill), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDesk()
				d.ill = tc.ill
				began, done := time.Now(), time.Duration(-1)
				go func() {
					for time.Since(began) <= time.Minute && done < 0 {
						if len(d.database.books().postings) == 1 {
							done = time.Since(began)
						}
						time.Sleep(time.Millisecond)
					}
				}()
				status, got, header := d.ask(t, "POST", "/charges", "k", "", body(t, lampOrder))
				assert.Equal(t, tc.answer, time.Since(began))
				assert.Equal(t, tc.status, status)
				assert.Equal(t, tc.after, header.Get("Retry-After"))
				assert.Equal(t, tc.status == 200, got.Receipt == "charges-1")
				assert.Equal(t, map[fault]int{tc.ill: 1}, d.visited())
				time.Sleep(time.Hour)
				synctest.Wait()
				if tc.done < 0 {
					assert.Negative(t, done)
					assert.Empty(t, d.database.entries)
				} else {
					assert.InDelta(t, tc.done, done, float64(time.Millisecond))
				}
			})
		})
	}
}

// When the instance dies, who waits gets no answer. What has come too late has no
// effect; what had its effect before has it still.
func TestCounter_dies(t *testing.T) {
	for ill, postings := range map[fault]int{slow: 0, late: 1} {
		synctest.Test(t, func(t *testing.T) {
			d := newDesk()
			d.ill = ill
			time.AfterFunc(time.Millisecond, func() { close(d.over) })
			began := time.Now()
			status, _, _ := d.ask(t, "POST", "/charges", "k", "", body(t, lampOrder))
			assert.Zero(t, status)
			assert.Equal(t, time.Millisecond, time.Since(began))
			assert.Len(t, d.database.books().postings, postings, "%s", ill)
		})
	}
}

// A request that breaks off has no effect, and is none that met a fault.
func TestCounter_breaksOff(t *testing.T) {
	d := newDesk()
	req := httptest.NewRequestWithContext(t.Context(), "POST", "/charges", iotest.ErrReader(errors.New("torn")))
	req.Header.Set(keyHeader, "k")
	w := httptest.NewRecorder()
	d.handler(nil).ServeHTTP(w, req)
	assert.Equal(t, 400, w.Code)
	assert.Empty(t, d.database.entries)
	assert.Empty(t, d.visited())
}
