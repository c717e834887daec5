package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A desk is a client of services that stands for a test.
type desk struct {
	*services
	t      *testing.T
	order  Order
	client *http.Client
	onward atomic.Pointer[func(n int)] // is called at each moment of a request
	n      atomic.Int32
}

// newDesk has services that are open until the test ends.
func newDesk(t *testing.T, order Order) *desk {
	t.Helper()
	d := &desk{t: t, order: order, client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	d.services = newServices(script{1}, newLedger([]Order{order}), func() {
		if f := d.onward.Load(); f != nil {
			(*f)(int(d.n.Add(1)))
		}
	})
	require.NoError(t, d.open(t.Context()))
	t.Cleanup(func() {
		select {
		case <-d.over:
		default:
			assert.NoError(t, d.close(context.Background()))
		}
	})
	return d
}

// at has something done at the n-th moment of the next request.
func (d *desk) at(n int, f func()) {
	d.n.Store(0)
	onward := func(i int) {
		if i == n {
			f()
		}
	}
	d.onward.Store(&onward)
}

// freeze has something done when the next request comes. Neither that nor any other
// is answered until the test ends.
func (d *desk) freeze(f func()) {
	thaw := make(chan struct{})
	d.t.Cleanup(func() { close(thaw) })
	var first sync.Once
	onward := func(int) {
		first.Do(f)
		<-thaw
	}
	d.onward.Store(&onward)
}

// send sends a request. Status 0: no answer came.
func (d *desk) send(ctx context.Context, method string, r resource, key, doKey string) (status int, body reply) {
	d.t.Helper()
	data, err := json.Marshal(d.order)
	require.NoError(d.t, err)
	req, err := http.NewRequestWithContext(ctx, method, d.urls[r], strings.NewReader(string(data)))
	require.NoError(d.t, err)
	if key != "" {
		req.Header.Set(keyHeader, key)
	}
	if doKey != "" {
		req.Header.Set(undoHeader, doKey)
	}
	resp, err := d.client.Do(req)
	if err != nil {
		return 0, body
	}
	defer func() { _ = resp.Body.Close() }()
	require.NoError(d.t, json.NewDecoder(resp.Body).Decode(&body))
	return resp.StatusCode, body
}

// postings are how many there are.
func (d *desk) postings() int {
	_, all := d.ledger.books()
	return len(all)
}

// keyFor is a key of which the first request has a fault, and the next one has none.
func keyFor(t *testing.T, wrong fault, of func(key string, n int) fault) string {
	t.Helper()
	for i := range 10_000 {
		key := fmt.Sprintf("key-%d", i)
		if of(key, 0) == wrong && of(key, 1) == fine {
			return key
		}
	}
	require.FailNow(t, "no such key", "%s", wrong)
	return ""
}

func acting(key string, n int) fault { return script{1}.action(fate{}, charges, key, n) }

func TestServices_do(t *testing.T) {
	d := newDesk(t, someOrders(t, fate{})[0])
	key := keyFor(t, fine, acting)
	status, first := d.send(t.Context(), "POST", charges, key, "")
	assert.Equal(t, http.StatusOK, status)
	assert.NotEmpty(t, first.Receipt)
	status, second := d.send(t.Context(), "POST", charges, key, "")
	assert.Equal(t, http.StatusOK, status)
	assert.Equal(t, first, second)
	assert.Equal(t, 1, d.postings(), "the same key, the same effect")

	undo := keyFor(t, fine, script{1}.undoing)
	for range 2 {
		status, _ = d.send(t.Context(), "DELETE", charges, undo, key)
		assert.Equal(t, http.StatusOK, status)
	}
	assert.Equal(t, 2, d.postings())
	status, _ = d.send(t.Context(), "POST", charges, key, "")
	assert.Equal(t, http.StatusGone, status, "an action after it was undone")
	assert.Equal(t, 2, d.postings())
	assert.Equal(t, map[finding]int{booked: 1, again: 2, reversed: 1, tooLate: 1}, d.tallies[charges].found)
	assert.Equal(t, 5, d.tallies[charges].requests)
}

func TestServices_look(t *testing.T) {
	d := newDesk(t, someOrders(t, fate{charges, "card declined", fine})[0])
	ask := func(r resource, key string) int {
		for n := 0; script.asking(d.script, key, n) != fine; n++ {
			_, _ = d.send(t.Context(), "GET", r, key, "")
		}
		status, _ := d.send(t.Context(), "GET", r, key, "")
		return status
	}
	assert.Equal(t, http.StatusNotFound, ask(charges, "k"))

	key := keyFor(t, fine, acting)
	for range 2 {
		status, body := d.send(t.Context(), "POST", charges, key, "")
		assert.Equal(t, http.StatusPaymentRequired, status)
		assert.Equal(t, "card declined", body.Error)
	}
	assert.Equal(t, http.StatusConflict, ask(charges, key))
	assert.Zero(t, d.postings())

	status, _ := d.send(t.Context(), "POST", labels, key+" ", "") // a key is for one thing
	if status == http.StatusOK {
		assert.Equal(t, 1, d.postings())
	}
}

// The faults that answer, or break the connection. done is what there is afterwards.
func TestServices_faults(t *testing.T) {
	for _, tc := range []struct {
		wrong        fault
		status, done int
	}{
		{unavailable, http.StatusServiceUnavailable, 0},
		{busy, http.StatusTooManyRequests, 0},
		{reset, 0, 0},
		{cut, 0, 1},
	} {
		t.Run(string(tc.wrong), func(t *testing.T) {
			d := newDesk(t, someOrders(t, fate{})[0])
			key := keyFor(t, tc.wrong, acting)
			status, _ := d.send(t.Context(), "POST", charges, key, "")
			assert.Equal(t, tc.status, status)
			assert.Equal(t, tc.done, d.postings())
			status, _ = d.send(t.Context(), "POST", charges, key, "")
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, 1, d.postings())
			assert.Equal(t, map[fault]int{tc.wrong: 1, fine: 1}, d.tallies[charges].faults)
		})
	}
}

// The client gives up as soon as it is as late as can be: it would wait for ever.
func TestServices_noAnswer(t *testing.T) {
	for _, tc := range []struct {
		wrong        fault
		moment, done int
	}{
		{mute, 1, 0},
		{late, 2, 1}, // when it is done
		{straggling, 1, 0},
	} {
		t.Run(string(tc.wrong), func(t *testing.T) {
			d := newDesk(t, someOrders(t, fate{})[0])
			key := keyFor(t, tc.wrong, acting)
			ctx, cancel := context.WithCancel(t.Context())
			d.at(tc.moment, cancel)
			status, _ := d.send(ctx, "POST", charges, key, "")
			assert.Zero(t, status)
			assert.Equal(t, tc.done, d.postings())
			status, _ = d.send(t.Context(), "POST", charges, key, "")
			assert.Equal(t, http.StatusOK, status)
			assert.Equal(t, 1, d.postings())

			require.NoError(t, d.close(t.Context())) // what straggles is let in
			assert.Equal(t, 1, d.postings())
			want := map[finding]int{booked: 1}
			if tc.wrong != mute {
				want[again] = 1
			}
			assert.Equal(t, want, d.tallies[charges].found)
		})
	}
}

// A request that straggles comes after it was undone, and has no effect.
func TestServices_straggler(t *testing.T) {
	d := newDesk(t, someOrders(t, fate{})[0])
	key := keyFor(t, straggling, acting)
	ctx, cancel := context.WithCancel(t.Context())
	d.at(1, cancel)
	status, _ := d.send(ctx, "POST", charges, key, "")
	require.Zero(t, status)
	d.at(0, nil)
	status, _ = d.send(t.Context(), "DELETE", charges, keyFor(t, fine, script{1}.undoing), key)
	require.Equal(t, http.StatusOK, status)
	require.NoError(t, d.close(t.Context()))
	assert.Zero(t, d.postings())
	assert.Equal(t, map[finding]int{nothing: 1, tooLate: 1}, d.tallies[charges].found)
}

func TestServices_badRequests(t *testing.T) {
	d := newDesk(t, lampOrder)
	status, _ := d.send(t.Context(), "POST", charges, "", "")
	assert.Equal(t, http.StatusBadRequest, status, "no key")
	status, _ = d.send(t.Context(), "DELETE", charges, "k", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status, "nothing to undo")
	status, _ = d.send(t.Context(), "PUT", charges, "k", "")
	assert.Equal(t, http.StatusMethodNotAllowed, status)

	req, err := http.NewRequestWithContext(t.Context(), "POST", d.urls[charges], strings.NewReader("lamp"))
	require.NoError(t, err)
	req.Header.Set(keyHeader, "k")
	resp, err := d.client.Do(req)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode, "no order")
	assert.Zero(t, d.postings())
}

func TestServices_open_cannot(t *testing.T) {
	s := newServices(script{1}, newLedger(nil), nil)
	left := 2
	s.listen = func(ctx context.Context) (net.Listener, error) {
		if left--; left < 0 {
			return nil, errors.New("no room")
		}
		return loopback(ctx)
	}
	require.EqualError(t, s.open(t.Context()), "shipping: no room")
	require.NoError(t, s.close(t.Context()))
}
