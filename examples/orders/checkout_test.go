package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// The saga has nothing that its own check would advise against.
func TestCheckout_definition(t *testing.T) {
	def := checkout(newShop(nil))
	lint := def.Lint()
	for _, advice := range lint {
		assert.NotContains(t, advice, "ReadOnly", "every step before the pivot can be undone")
	}
	assert.Contains(t, def.Mermaid(), "ship (pivot)")
}

// The same saga in memory: whatever fails, each order is done as a whole or not at
// all. It does not need the engine for that, only for the process to die in between.
func TestCheckout_inMemory(t *testing.T) {
	all, err := loadOrders("", nil)
	require.NoError(t, err)
	l := newLedger(all)
	s := newServices(script{1}, l, func() {})
	require.NoError(t, s.open(t.Context()))
	shop := newShop(s.urls)
	def := checkout(shop)
	quick := saga.Retry{Wait: time.Millisecond, Attempts: 5}
	o := outcome{orders: all, script: s.script, report: new(report)}
	results := make(chan ending)
	for _, order := range all {
		go func() {
			p := Purchase{Order: order}
			undo := saga.Retry{Wait: time.Millisecond, Attempts: -1}
			err := def.RunWith(context.Background(), saga.RunConfig{ID: order.ID, Grace: -1, Retry: quick, UndoRetry: undo}, &p)
			e := ending{Order: order.ID, Status: "completed"}
			if failed := (*saga.Error)(nil); errors.As(err, &failed) {
				e.Status, e.Step, e.Why = failed.Status.String(), failed.Step, failed.Err.Error()
			}
			results <- e
		}()
	}
	for range all {
		o.report.Runs = append(o.report.Runs, <-results)
	}
	shop.close()
	require.NoError(t, s.close(t.Context()))
	o.balances, o.postings = l.books()
	for _, v := range judge(o) {
		assert.True(t, v.held, "%s: %s", v.expected, v.found)
	}
}

func TestClassify(t *testing.T) {
	plain := errors.New("EOF")
	require.Equal(t, plain, classify(plain))
	server := &statusError{code: 500, why: "oops"}
	require.Equal(t, error(server), classify(server))
	// What a verdict does is seen from outside: how often a step is tried, and
	// whether it is undone when that does not help.
	for _, tc := range []struct {
		code             int
		attempts, undone int
	}{
		{http.StatusPaymentRequired, 1, 0},
		{http.StatusConflict, 1, 0},
		{http.StatusGone, 1, 0},
		{http.StatusTooManyRequests, 3, 0},
		{http.StatusServiceUnavailable, 3, 1},
		{http.StatusInternalServerError, 3, 1},
	} {
		attempts, undone := 0, 0
		def := saga.MustNewWith(saga.Spec[int]{Name: "s", Classify: classify, Steps: []saga.Step[int]{{
			Name:  "step",
			Do:    func(context.Context, *int) error { attempts++; return &statusError{code: tc.code} },
			Undo:  func(context.Context, *int) error { undone++; return nil },
			Retry: saga.Retry{Attempts: 3, Wait: -1},
		}}})
		require.Error(t, def.Run(t.Context(), new(int)))
		assert.Equal(t, tc.attempts, attempts, tc.code)
		assert.Equal(t, tc.undone, undone, tc.code)
	}
}

// What the shop makes of answers.
func TestShop(t *testing.T) {
	status, body := 0, ""
	var got *http.Request
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.Header().Set(afterHeader, "7")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}))
	defer server.Close()
	s := newShop(map[resource]string{charges: server.URL})
	defer s.close()

	status, body = http.StatusOK, `{"receipt":"r1"}`
	receipt, err := s.call(t.Context(), http.MethodPost, charges, "k", "", &lampOrder)
	require.NoError(t, err)
	assert.Equal(t, "r1", receipt)
	assert.Equal(t, "k", got.Header.Get("Idempotency-Key"))
	what, receipt, err := s.look(t.Context(), charges)
	require.NoError(t, err)
	assert.Equal(t, saga.Applied, what)
	assert.Equal(t, "r1", receipt)

	status, body = http.StatusTooManyRequests, `{"error":"wait"}`
	_, err = s.call(t.Context(), http.MethodDelete, charges, "u", "k", &lampOrder)
	assert.Equal(t, &statusError{429, "wait", 7 * time.Millisecond}, err)
	assert.Equal(t, "429 wait", err.Error())
	assert.Equal(t, "k", got.Header.Get("Undo-Key"))

	for code, want := range map[int]saga.Outcome{http.StatusConflict: saga.Rejected, http.StatusNotFound: saga.Unknown} {
		status = code
		what, _, err = s.look(t.Context(), charges)
		require.NoError(t, err, code)
		assert.Equal(t, want, what, code)
	}
	status = http.StatusServiceUnavailable
	what, _, err = s.look(t.Context(), charges)
	require.Error(t, err)
	assert.Equal(t, saga.Unknown, what)

	status, body = http.StatusOK, "half an ans"
	_, err = s.call(t.Context(), http.MethodPost, charges, "k", "", &lampOrder)
	require.ErrorContains(t, err, "200: invalid character")

	server.Close()
	_, err = s.call(t.Context(), http.MethodPost, charges, "k", "", &lampOrder)
	require.Error(t, err)
	assert.False(t, strings.Contains(err.Error(), server.URL+"/"), "%v", err)
	_, err = s.call(t.Context(), "BAD METHOD", charges, "k", "", &lampOrder)
	require.ErrorContains(t, err, "invalid method")
}

// A request is sent once, also if the connection breaks on which others have been
// before: what is sent again has to be an attempt, so that the saga knows of it.
func TestShop_sendsOnce(t *testing.T) {
	for _, method := range []string{http.MethodPost, http.MethodDelete} {
		n := 0
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.ReadAll(r.Body)
			if n++; n == 2 {
				panic(http.ErrAbortHandler)
			}
			_, _ = w.Write([]byte("{}"))
		}))
		s := newShop(map[resource]string{charges: server.URL})
		_, err := s.call(t.Context(), method, charges, "k", "d", &lampOrder)
		require.NoError(t, err)
		reused := false
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
		_, err = s.call(ctx, method, charges, "k", "d", &lampOrder)
		require.Error(t, err)
		assert.True(t, reused)
		server.Close()
		assert.Equal(t, 2, n)
		s.close()
	}
}
