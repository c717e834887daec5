package breakerhttp_test

import (
	"math"
	"math/big"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

var (
	// What the header is trimmed of, and what RFC 9110 calls delay-seconds.
	padded  = regexp.MustCompile(`^[ \t]*(.*?)[ \t]*$`)
	seconds = regexp.MustCompile(`^[0-9]+$`)
)

// naiveRetryAfter is RetryAfter without a thought for speed: numbers of any
// size, and the three forms of a date one after another.
func naiveRetryAfter(value string, now time.Time) time.Duration {
	m := padded.FindStringSubmatch(value)
	if m == nil {
		return 0 // a line break
	}
	if seconds.MatchString(m[1]) {
		n, _ := new(big.Int).SetString(m[1], 10)
		n.Mul(n, big.NewInt(int64(time.Second)))
		if !n.IsInt64() {
			return math.MaxInt64
		}
		return time.Duration(n.Int64())
	}
	for _, layout := range []string{http.TimeFormat, time.RFC850, time.ANSIC} {
		if at, err := time.Parse(layout, m[1]); err == nil {
			if !at.After(now) {
				return 0
			}
			return at.Sub(now)
		}
	}
	return 0
}

// FuzzRetryAfter holds RetryAfter against a naive model, and sees that whatever
// a server sends, Transport survives it and opens for no longer than it may.
func FuzzRetryAfter(f *testing.F) {
	for value := range retryAfterCases {
		f.Add(value, retryNow.Unix())
	}
	for _, now := range []int64{0, -1, math.MinInt64, math.MaxInt64, -62135596800, 253402300799} {
		f.Add("Fri, 01 Mar 2024 12:00:07 GMT", now)
		f.Add("Sunday, 06-Nov-94 08:49:37 GMT", now)
		f.Add("Sun Nov  6 08:49:37 1994", now)
		f.Add("1000000000000000000", now)
	}
	f.Fuzz(func(t *testing.T, value string, unix int64) {
		now := time.Unix(unix, 0)
		header := http.Header{"Retry-After": {value}}
		got := breakerhttp.RetryAfter(header, now)
		if want := naiveRetryAfter(value, now); got != want {
			t.Errorf("RetryAfter(%q) at %v = %v, the model says %v", value, now, got, want)
		}
		if got < 0 {
			t.Errorf("RetryAfter(%q) = %v", value, got)
		}

		fx := newFixture(t, answer(503, "", "Retry-After", value), func(cfg *breakerhttp.TransportConfig) {
			cfg.MaxRetryAfter = time.Minute
		})
		if _, err := fx.RoundTrip(get(t)); err != nil {
			t.Error(err)
		}
		want := min(naiveRetryAfter(value, fx.clock.Now()), time.Minute)
		if s := fx.breaker.Snapshot(); s.RetryAfter != want {
			t.Errorf("Retry-After: %q opens for %v, not %v", value, s.RetryAfter, want)
		}
	})
}

// FuzzMiddleware runs handlers made of bytes, each byte a call of the
// ResponseWriter, and wants the outcome to be what the client saw.
func FuzzMiddleware(f *testing.F) {
	for _, calls := range []string{"", "w", "5", "2", "1", "125", "w5", "f5", "s5", "r5", "e5", "x", "x5", "5x", "p", "5p", "1p", "0"} {
		f.Add(calls)
	}
	f.Fuzz(func(t *testing.T, calls string) {
		if len(calls) > 32 {
			return
		}
		var l ledger
		b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
		inner := newBreaker(t)
		inner.ForceOpen(nil)
		_, rejection := inner.Allow(t.Context())

		rejected, panicked := false, true
		w := httptest.NewRecorder()
		handler := breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			rejected = play(w, calls, rejection)
			panicked = false
		}))
		func() {
			defer func() { _ = recover() }()
			handler.ServeHTTP(w, newRequest(t, http.MethodGet, nil))
		}()

		want := breaker.Success
		switch {
		case panicked:
			want = breaker.Failure
		case rejected:
			want = breaker.Ignored
		case w.Code >= 500:
			want = breaker.Failure
		}
		if done := l.one(t); done.Outcome != want {
			t.Errorf("%q: %v, but the client saw %d, panicked %v, rejected %v", calls, done.Outcome, w.Code, panicked, rejected)
		}
	})
}

// play makes the calls and reports whether a rejection was what decided.
func play(w http.ResponseWriter, calls string, rejection error) (rejected bool) {
	decided := false
	for _, c := range calls {
		switch c {
		case 'w':
			_, _ = w.Write([]byte("text"))
		case 'e':
			_, _ = w.Write(nil)
		case 's':
			_, _ = w.(interface{ WriteString(string) (int, error) }).WriteString("text")
		case 'f':
			w.(http.Flusher).Flush()
		case 'r':
			_ = http.NewResponseController(w).Flush()
		case '2':
			w.WriteHeader(http.StatusOK)
		case '4':
			w.WriteHeader(http.StatusNotFound)
		case '5':
			w.WriteHeader(http.StatusServiceUnavailable)
		case '6':
			w.WriteHeader(599)
		case 'x':
			rejected = rejected || !decided
			breakerhttp.WriteRejection(w, rejection)
		case '0':
			if !decided { // else it is superfluous, and not looked at
				w.WriteHeader(0)
			}
			continue
		case 'p':
			panic("boom")
		default:
			continue
		}
		decided = true
	}
	return rejected
}
