package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// A back is the back room of an order service: one step that the test looks into.
type back struct {
	mu   sync.Mutex
	keys map[string][]string // of the attempts, by run
	hold chan struct{}       // not nil: attempts tell it, and then wait until they are given up
	deaf bool                // but then they have done it
	err  error               // of attempts
	undo error
}

func (b *back) do(ctx context.Context, _ *Purchase) error {
	info := saga.Info(ctx)
	b.mu.Lock()
	b.keys[info.Run] = append(b.keys[info.Run], info.Key)
	hold, err := b.hold, b.err
	b.mu.Unlock()
	if hold != nil {
		hold <- struct{}{}
		<-ctx.Done()
		if b.deaf {
			return nil
		}
		return context.Cause(ctx)
	}
	return err
}

func (b *back) tried(run string) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.keys[run]
}

func (b *back) let(hold chan struct{}) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.hold = hold
}

// An officeTest is an order service, with those who listen.
type officeTest struct {
	*orderService
	*back
	subs *subscribers

	mu    sync.Mutex
	again map[string]bool // whether the end of an order was told again
	told  map[string]int
}

// newOffice is closed with the test, unless somebody does that before.
func newOffice(t *testing.T, dir string) *officeTest {
	t.Helper()
	o := &officeTest{back: &back{keys: make(map[string][]string)}, again: make(map[string]bool), told: make(map[string]int)}
	topics := newTopics()
	var err error
	pace := tempo{10 * time.Second}
	o.subs, err = subscribe(t.Context(), topics, script{1}, pace, &lines{})
	require.NoError(t, err)
	_, err = topics.ended.Subscribe(t.Context(), func(_ context.Context, e Ended) error {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.again[e.Order.ID] = e.Again
		o.told[e.Order.ID]++
		return nil
	})
	require.NoError(t, err)
	reg := registry.MustNew(registry.Config{})
	asker := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	s := &server{id: "orders-1", service: office, reg: reg, tempo: patient, asker: asker}
	o.orderService = &orderService{
		dir: dir, topics: topics, tempo: pace, random: script{1}.random("jitter"), orders: make(map[string]Order),
		server: s,
		def: saga.MustNew("checkout", []saga.Step[Purchase]{{
			Name: "step", Do: o.do, Undo: func(context.Context, *Purchase) error { return o.undo },
		}}),
	}
	s.handler = o.handler
	t.Cleanup(func() { o.closeAll(t) })
	return o
}

func (o *officeTest) closeAll(t *testing.T) {
	t.Helper()
	assert.NoError(t, o.close(context.Background()))
	assert.NoError(t, o.server.reg.Close(context.Background()))
	assert.NoError(t, o.topics.bus.Close(context.Background()))
}

// flush waits until all that was told is heard.
func (o *officeTest) flush(t *testing.T) {
	t.Helper()
	require.NoError(t, o.topics.bus.Flush(t.Context()))
}

// order places one.
func (o *officeTest) order(t *testing.T, body string) (status int, answer string) {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/orders", strings.NewReader(body))
	w := httptest.NewRecorder()
	o.handler(nil).ServeHTTP(w, req)
	return w.Code, w.Body.String()
}

func numbered(n int) Order {
	o := lampOrder
	o.ID = fmt.Sprint("order ", n)
	return o
}

// A run that was under way goes on after a crash, by the same key, and the end of its
// order is told. What an attempt has done in the moment of the crash could not be
// written down.
func TestOffice_crash(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		t.Run(fmt.Sprintf("deaf %v", deaf), func(t *testing.T) {
			crashes(t, deaf)
		})
	}
}

func crashes(t *testing.T, deaf bool) {
	t.Helper()
	o := newOffice(t, t.TempDir())
	o.deaf = deaf
	hold := make(chan struct{})
	o.let(hold)
	assert.False(t, o.crash(), "it is not open")
	require.NoError(t, o.open(t.Context()))
	status, _ := o.order(t, body(t, lampOrder))
	require.Equal(t, http.StatusAccepted, status)
	<-hold
	assert.True(t, o.crash())
	assert.False(t, o.crash())
	assert.Nil(t, o.working())
	assert.Empty(t, o.orders, "what it knew is in the journal, or nowhere")
	status, text := o.order(t, body(t, numbered(2)))
	assert.Equal(t, http.StatusServiceUnavailable, status)
	assert.Contains(t, text, "not open")
	_, err := o.heads(t.Context())
	require.Error(t, err)

	o.let(nil)
	require.NoError(t, o.open(t.Context()))
	require.NoError(t, o.subs.ledger.await(t.Context(), 1))
	keys := o.tried("order 1")
	require.Len(t, keys, 2)
	assert.Equal(t, keys[0], keys[1])
	assert.Equal(t, 2, o.opened())
	require.NoError(t, o.open(t.Context()), "it is open")
	assert.Equal(t, 2, o.opened())
	heads, err := o.heads(t.Context())
	require.NoError(t, err)
	require.Len(t, heads, 1)
	assert.Equal(t, saga.Completed, heads[0].Status)
	assert.Equal(t, map[string]int64{"ann": 9800}, o.subs.ledger.totals())
	o.flush(t)
	assert.Positive(t, o.told["order 1"])
}

// Another process, which knows nothing but the journal, goes on with all of it, and the
// end of every order is told, also if it comes while the journal is still being read.
func TestOffice_anotherProcess(t *testing.T) {
	const runs = 30
	dir := t.TempDir()
	first := newOffice(t, dir)
	hold := make(chan struct{})
	first.let(hold)
	require.NoError(t, first.open(t.Context()))
	for n := range runs {
		status, _ := first.order(t, body(t, numbered(n)))
		require.Equal(t, http.StatusAccepted, status)
	}
	for range runs {
		<-hold
	}
	assert.True(t, first.crash())
	assert.Empty(t, first.told)

	second := newOffice(t, dir)
	require.NoError(t, second.open(t.Context()))
	require.NoError(t, second.subs.ledger.await(t.Context(), runs))
	assert.Equal(t, map[string]int64{"ann": runs * 9800}, second.subs.ledger.totals())
	for n := range runs {
		id := numbered(n).ID
		assert.Equal(t, first.tried(id), second.tried(id), id)
	}
}

// A slowReader is a codec with which the journal is read so slowly, when the service
// remembers, that a run has ended meanwhile.
type slowReader struct {
	ended chan struct{}
	err   error // not nil: it cannot be read
}

func (slowReader) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (r slowReader) Unmarshal(data []byte, v any) error {
	if strings.Contains(string(debug.Stack()), ".remember(") {
		if <-r.ended; r.err != nil {
			return r.err
		}
	}
	return json.Unmarshal(data, v)
}

// The end of an order that comes between the two looks at its run is told, although the
// hook did not know the order yet.
func TestOffice_endsMeanwhile(t *testing.T) {
	dir := t.TempDir()
	first := newOffice(t, dir)
	hold := make(chan struct{})
	first.let(hold)
	require.NoError(t, first.open(t.Context()))
	status, _ := first.order(t, body(t, lampOrder))
	require.Equal(t, http.StatusAccepted, status)
	<-hold
	assert.True(t, first.crash())

	second := newOffice(t, dir)
	r := slowReader{ended: make(chan struct{})}
	second.def = saga.MustNewWith(saga.Spec[Purchase]{Name: "checkout", Codec: r, Steps: []saga.Step[Purchase]{{Name: "step", Do: second.do}}})
	_, err := second.topics.status.Subscribe(t.Context(), func(_ context.Context, e saga.StatusEvent) error {
		if e.To == saga.Completed {
			close(r.ended)
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, second.open(t.Context()))
	second.flush(t)
	assert.Positive(t, second.told["order 1"])
}

// A journal that the service does not understand keeps it closed, and is there to be
// read by one that does.
func TestOffice_cannotRemember(t *testing.T) {
	dir := t.TempDir()
	first := newOffice(t, dir)
	require.NoError(t, first.open(t.Context()))
	status, _ := first.order(t, body(t, lampOrder))
	require.Equal(t, http.StatusAccepted, status)
	require.NoError(t, first.subs.ledger.await(t.Context(), 1))
	require.NoError(t, first.close(t.Context()))

	second := newOffice(t, dir)
	good, r := second.def, slowReader{make(chan struct{}), errors.New("what is that")}
	close(r.ended)
	second.def = saga.MustNewWith(saga.Spec[Purchase]{Name: "checkout", Codec: r, Steps: []saga.Step[Purchase]{{Name: "step", Do: second.do}}})
	require.ErrorContains(t, second.open(t.Context()), "what is that")
	assert.Nil(t, second.working())
	assert.Equal(t, kill, second.server.suffers())
	second.def = good
	require.NoError(t, second.open(t.Context()))
	require.NoError(t, second.subs.ledger.await(t.Context(), 1))
}

// Nobody knows whether the end of an order was heard before a crash, so it is told again.
func TestOffice_toldAgain(t *testing.T) {
	dir := t.TempDir()
	first := newOffice(t, dir)
	require.NoError(t, first.open(t.Context()))
	for n := range 3 {
		status, _ := first.order(t, body(t, numbered(n)))
		require.Equal(t, http.StatusAccepted, status)
	}
	require.NoError(t, first.subs.ledger.await(t.Context(), 3))
	first.flush(t)
	assert.Equal(t, map[string]bool{"order 0": false, "order 1": false, "order 2": false}, first.again)
	assert.True(t, first.crash())
	require.NoError(t, first.open(t.Context()))
	first.flush(t)
	assert.Equal(t, map[string]int{"order 0": 2, "order 1": 2, "order 2": 2}, first.told)
	assert.Equal(t, map[string]int64{"ann": 3 * 9800}, first.subs.ledger.totals(), "the ledger knows it")
	require.NoError(t, first.close(t.Context()))

	second := newOffice(t, dir)
	require.NoError(t, second.open(t.Context()))
	second.flush(t)
	assert.Equal(t, map[string]bool{"order 0": true, "order 1": true, "order 2": true}, second.again)
	assert.Empty(t, second.keys, "there is nothing left to do")
}

// Whoever asks again, because no answer came, has one run; whoever asks for something
// else under the same name has none.
func TestOffice_place(t *testing.T) {
	o := newOffice(t, t.TempDir())
	require.NoError(t, o.open(t.Context()))
	other := lampOrder
	other.Cents = 1
	for i, tc := range []struct {
		body   string
		status int
		answer string
	}{
		{body(t, lampOrder), 202, `{"receipt":"order 1"}`},
		{body(t, lampOrder), 202, `{"receipt":"order 1"}`},
		{body(t, other), 409, `{"error":"there is another order with this ID"}`},
		{"lamp", 400, `{"error":"the order is no order: invalid character 'l' looking for beginning of value"}`},
		{`{"id":"x"}` + strings.Repeat(" ", maxBody), 400, `{"error":"the order is no order: http: request body too large"}`},
		{`{"id":""}`, 503, `{"error":`},
	} {
		status, answer := o.order(t, tc.body)
		assert.Equal(t, tc.status, status, i)
		assert.Contains(t, answer, tc.answer, i)
	}
	require.NoError(t, o.subs.ledger.await(t.Context(), 1))
	status, _ := o.order(t, body(t, lampOrder))
	assert.Equal(t, 202, status, "also when it has ended")
	heads, err := o.heads(t.Context())
	require.NoError(t, err)
	assert.Len(t, heads, 1)
	assert.Len(t, o.tried("order 1"), 1)
	assert.Equal(t, map[string]int64{"ann": 9800}, o.subs.ledger.totals(), "what was ordered first")

	w := httptest.NewRecorder()
	o.handler(nil).ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/orders", http.NoBody))
	assert.Equal(t, http.StatusMethodNotAllowed, w.Code)
}

// A run that was compensated, and one that is stuck: both ends are told.
func TestOffice_ends(t *testing.T) {
	for _, tc := range []struct {
		undo error
		want saga.Status
	}{
		{nil, saga.Compensated},
		{saga.Reject(errors.New("no")), saga.Stuck},
	} {
		o := newOffice(t, t.TempDir())
		o.err = errors.New("oops")
		o.undo = tc.undo
		require.NoError(t, o.open(t.Context()))
		_, _ = o.order(t, body(t, lampOrder))
		require.NoError(t, o.subs.ledger.await(t.Context(), 1))
		assert.Equal(t, tc.want, o.subs.ledger.ends["order 1"])
		assert.Empty(t, o.subs.ledger.totals())
	}
}

// When nothing can be opened all of it is closed again, so that it can be tried again.
func TestOffice_cannotOpen(t *testing.T) {
	dir := t.TempDir()
	o := newOffice(t, filepath.Join(dir, "journal"))
	require.NoError(t, os.WriteFile(o.dir, nil, 0o600))
	require.Error(t, o.open(t.Context()), "a file")
	require.NoError(t, os.Remove(o.dir))
	require.NoError(t, os.Mkdir(o.dir, 0o700))

	o.server.service = "no name"
	require.ErrorContains(t, o.open(t.Context()), "Service is \"no name\"")
	o.server.service = office
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.Error(t, o.open(ctx))
	assert.Nil(t, o.working())
	assert.Zero(t, o.opened())
	require.NoError(t, o.open(t.Context()))
	assert.Equal(t, 1, o.opened())
}
