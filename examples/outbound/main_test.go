package main

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

// outbound is the command with these arguments.
func outbound(ctx context.Context, s script, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, s, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRun_usage(t *testing.T) {
	for _, tc := range []struct {
		args string
		want string
	}{
		{"-url ftp://example.com", `-url is "ftp://example.com", want http://host/path or https://host/path`},
		{"-url example.com", `-url is "example.com", want http`},
		{"-url http://", `-url is "http://", want http`},
		{"-url http://%zz", `-url is "http://%zz", want http`},
		{"-url=", `-url is "", want http`},
		{"-url http://:80/", `-url is "http://:80/", want http`},
		{"-url http://example.com:65536/", `-url is "http://example.com:65536/", want a port from 1 to 65535`},
		{"-url http://example.com:0", `-url is "http://example.com:0", want a port from 1 to 65535`},
		{"-url http://example.com -for 0", "-for is 0s, want more than 0"},
		{"-url http://example.com -for -1s", "-for is -1s, want more than 0"},
		{"-url http://example.com -for soon", `invalid value "soon" for flag -for`},
		{"-url http://example.com -every 1us", "-every is 1\u00b5s, want at least 1ms"},
		{"-for 5s", "-for is 5s, want it only with -url"},
		{"-every 5s", "-every is 5s, want it only with -url"},
		{"http://example.com", `unexpected argument "http://example.com"`},
		{"-seed 1", "flag provided but not defined: -seed"},
	} {
		t.Run(tc.args, func(t *testing.T) {
			status, out, errs := outbound(t.Context(), script{}, strings.Fields(tc.args)...)
			assert.Equal(t, 2, status)
			assert.Empty(t, out)
			assert.Contains(t, errs, tc.want)
		})
	}
}

func TestRun_help(t *testing.T) {
	status, out, errs := outbound(t.Context(), script{}, "-h")
	assert.Zero(t, status)
	assert.Empty(t, out)
	for _, want := range []string{
		"Outbound shows what a circuit breaker does", "Without flags it starts a server", "The exit status is 0",
		"\n  -url URL\n", "\n  -for duration\n", "\n  -every duration\n",
	} {
		assert.Contains(t, errs, want)
	}
}

// patientScript is for real time and a real network. It expects nothing that a
// machine may be too slow for: the open time may be over with every call.
func patientScript() script {
	s := shortScript()
	s.maxShare = 1
	return s
}

func TestRun_script(t *testing.T) {
	status, out, errs := outbound(t.Context(), patientScript())
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Contains(t, out, "\nok      every sick phase opens the breaker, for its own cause  2 of 2\n")
	assert.Equal(t, 6, strings.Count(out, "\nok   "))
	assert.NotContains(t, out, "FAILED")
}

func TestRun_unexpected(t *testing.T) {
	s := patientScript()
	s.phases = s.phases[:2]
	s.phases[1].fault = fault{}
	status, out, errs := outbound(t.Context(), s)
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "\nFAILED  every sick phase opens the breaker, for its own cause\n"+
		"        0 of 1; errors: not opened, want failures by a status\n")
	assert.Equal(t, "outbound: not all expectations held\n", errs)
}

func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, errs := outbound(ctx, patientScript())
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "outbound: ")
}

func TestRun_url(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	status, out, errs := outbound(t.Context(), script{}, "-url", server.URL, "-for", "20ms", "-every", "5ms")
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Contains(t, out, "GET "+server.URL+" every 5ms for 20ms")
	assert.Contains(t, out, "  404 Not Found\n", "an answer is an answer")
	assert.Contains(t, out, "\nbreaker of "+strings.TrimPrefix(server.URL, "http://")+": closed, opened 0 times\n")
	assert.Contains(t, out, "\nok      at least one call got an answer ")
}

// Nobody answers: that is told, too.
func TestRun_urlUnreachable(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	server.Close()
	status, out, errs := outbound(t.Context(), script{}, "-url", server.URL, "-for", "20ms", "-every", "10ms")
	assert.Equal(t, 1, status)
	assert.Contains(t, out, "refused")
	assert.Contains(t, out, "  0 good,")
	assert.Contains(t, out, "\nFAILED  at least one call got an answer ")
	assert.Equal(t, "outbound: not all expectations held\n", errs)
}

func TestRun_urlInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var calls atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		if calls.Add(1) == 2 { // the first is answered long before
			cancel()
		}
	}))
	defer server.Close()
	began := time.Now()
	status, out, errs := outbound(ctx, script{}, "-url", server.URL, "-for", "1h", "-every", "200ms")
	assert.Zero(t, status, "that is how it is meant to end")
	assert.Empty(t, errs)
	assert.Contains(t, out, "  interrupted: no more calls,")
	assert.Contains(t, out, "2 calls\n")
	assert.Contains(t, out, "    2  half within ", "both got their answer")
	assert.Less(t, time.Since(began), time.Minute)
}
