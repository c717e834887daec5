package breakerhttp_test

import (
	"errors"
	"math"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// retryAfterCases are values of the field and what they ask for at retryNow.
var retryAfterCases = map[string]time.Duration{
	"0":            0,
	"1":            time.Second,
	"7":            7 * time.Second,
	"007":          7 * time.Second,
	" 7\t":         7 * time.Second,
	"86400":        24 * time.Hour,
	"9223372036":   9223372036 * time.Second,
	"9223372037":   math.MaxInt64,
	"10000000000":  math.MaxInt64,
	"999999999999": math.MaxInt64,

	"9223372036854775807":             math.MaxInt64,
	"9223372036854775808":             math.MaxInt64,
	"18446744073709551616":            math.MaxInt64,
	"99999999999999999999":            math.MaxInt64,
	"1000000000000000000":             math.MaxInt64,
	strings.Repeat("9", 1000):         math.MaxInt64,
	strings.Repeat("0", 1000) + "3":   3 * time.Second,
	strings.Repeat("9", 1000) + "x":   0,
	"Fri, 01 Mar 2024 12:00:07 GMT":   7 * time.Second,
	"Friday, 01-Mar-24 12:00:07 GMT":  7 * time.Second,
	"Fri Mar  1 12:00:07 2024":        7 * time.Second,
	"Fri, 01 Mar 2024 12:00:00 GMT":   0,
	"Fri, 01 Mar 2024 11:59:59 GMT":   0,
	"Thu, 01 Jan 1970 00:00:00 GMT":   0,
	"Mon, 01 Jan 0001 00:00:00 GMT":   0,
	"Fri, 31 Dec 9999 23:59:59 GMT":   math.MaxInt64,
	"Fri, 01 Mar 2024 12:00:07 UTC":   0,
	"Fri, 01 Mar 2024 12:00:07 +0100": 0,
	"2024-03-01T12:00:07Z":            0,
	"Fri, 32 Mar 2024 12:00:07 GMT":   0,
	"7, 9":                            0,
	"":                                0,
	" ":                               0,
	"7\n":                             0, "\v7": 0, "\u00a07": 0, // spaces, but not those of HTTP
	"-1":                                0,
	"-9223372036854775808":              0,
	"+7":                                0,
	"7.5":                               0,
	"7,5":                               0,
	"1e18":                              0,
	"0x10":                              0,
	"7s":                                0,
	"7 7":                               0,
	"\u0667":                            0, // an Arabic digit
	"NaN":                               0,
	"Inf":                               0,
	"soon":                              0,
	"\x00":                              0,
	"<script>":                          0,
	"Fri, 01 Mar 2024 12:00:07 GMT\x00": 0,
}

var retryNow = newHandClock().Now()

func TestRetryAfter(t *testing.T) {
	for value, want := range retryAfterCases {
		h := http.Header{"Retry-After": {value}}
		assert.Equal(t, want, breakerhttp.RetryAfter(h, retryNow), "%q", value)
	}
	assert.Zero(t, breakerhttp.RetryAfter(nil, retryNow), "no header at all")
	assert.Zero(t, breakerhttp.RetryAfter(http.Header{"Retry-After": nil}, retryNow))
	assert.Equal(t, 3*time.Second, breakerhttp.RetryAfter(http.Header{"Retry-After": {"3", "9"}}, retryNow), "the first")
	assert.Zero(t, breakerhttp.RetryAfter(http.Header{"Retry-After": {"soon", "9"}}, retryNow), "the first, right or wrong")
	assert.Zero(t, breakerhttp.RetryAfter(http.Header{"retry-after": {"9"}}, retryNow), "keys are canonical")

	// now in whatever zone, and with a monotonic reading.
	h := http.Header{"Retry-After": {"Fri, 01 Mar 2024 12:00:07 GMT"}}
	assert.Equal(t, 7*time.Second, breakerhttp.RetryAfter(h, retryNow.In(time.FixedZone("east", 3600))))
	h.Set("Retry-After", time.Now().Add(time.Hour).UTC().Format(http.TimeFormat))
	assert.InDelta(t, time.Hour, breakerhttp.RetryAfter(h, time.Now()), float64(10*time.Second))
}

// Scenario 19 and G44.
func TestG44_RetryAfterOpens(t *testing.T) {
	const long = 24 * time.Hour
	date := func(d time.Duration) string { return retryNow.Add(d).Format(http.TimeFormat) }
	for name, test := range map[string]struct {
		status int
		value  string
		most   time.Duration // MaxRetryAfter
		want   time.Duration // 0: a plain failure
	}{
		"429, seconds":            {429, "7", 0, 7 * time.Second},
		"503, seconds":            {503, "7", 0, 7 * time.Second},
		"429, date":               {429, date(7 * time.Second), 0, 7 * time.Second},
		"503, date":               {503, date(7 * time.Second), 0, 7 * time.Second},
		"capped":                  {429, "7", 5 * time.Second, 5 * time.Second},
		"date, capped":            {429, date(7 * time.Second), 5 * time.Second, 5 * time.Second},
		"at the cap":              {429, "5", 5 * time.Second, 5 * time.Second},
		"capped by default":       {503, "86400", 0, 5 * time.Minute},
		"cap lifted":              {503, "86400", 2 * long, long},
		"far too long":            {503, strings.Repeat("9", 40), 0, 5 * time.Minute},
		"far too long, a century": {503, strings.Repeat("9", 40), 36525 * long, 36525 * long},
		"1e18 in digits":          {429, "1000000000000000000", 0, 5 * time.Minute},
		"header ignored":          {429, "7", -1, 0},
		"zero":                    {429, "0", 0, 0},
		"past":                    {503, date(-time.Second), 0, 0},
		"now":                     {503, date(0), 0, 0},
		"negative":                {503, "-7", 0, 0},
		"malformed":               {503, "1e18", 0, 0},
		"absent":                  {503, "", 0, 0},
		"500":                     {500, "7", 0, 0},
		"502":                     {502, "7", 0, 0},
		"504":                     {504, "7", 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, answer(test.status, "sorry", "Retry-After", test.value), func(cfg *breakerhttp.TransportConfig) {
				cfg.MaxRetryAfter = test.most
			})
			resp, err := f.RoundTrip(get(t))
			require.NoError(t, err)
			assert.Equal(t, test.status, resp.StatusCode, "the response is the caller's all the same")
			done := f.one(t)
			assert.Equal(t, breaker.Failure, done.Outcome)
			assert.Equal(t, &breakerhttp.StatusError{Code: test.status}, done.Err)

			if test.want == 0 {
				assert.Equal(t, breaker.Closed, f.breaker.State())
				assert.Equal(t, uint64(1), f.breaker.Snapshot().Failures)
				return
			}
			require.Equal(t, breaker.Open, f.breaker.State())
			assert.Equal(t, breaker.ReasonTrip, f.breaker.Snapshot().Reason)
			f.clock.Add(time.Second)
			_, err = f.RoundTrip(get(t))
			var rejection *breaker.RejectedError
			require.ErrorAs(t, err, &rejection)
			assert.Equal(t, test.want-time.Second, rejection.RetryAfter(), "what is left")
			var status *breakerhttp.StatusError
			require.ErrorAs(t, rejection.Cause, &status)
			assert.Equal(t, test.status, status.Code)

			f.clock.Add(test.want - time.Second - 1)
			require.Equal(t, breaker.Open, f.breaker.State())
			f.clock.Add(1)
			require.Equal(t, breaker.HalfOpen, f.breaker.State())
		})
	}
}

// A probe that is told to wait reopens for that time, not for the open time.
func TestG44_ProbeToldToWait(t *testing.T) {
	f := newFixture(t, answer(503, "", "Retry-After", "99"))
	f.halfOpen(t)
	_, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	assert.Equal(t, 99*time.Second, f.breaker.Snapshot().RetryAfter)
}

// Permit.Trip knows that it is late: an answer to a call of an earlier stay does
// not open.
func TestG44_LateRetryAfter(t *testing.T) {
	var f *fixture
	f = newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
		f.breaker.Trip(time.Second, errors.New("by hand"))
		f.breaker.Reset()
		return answer(429, "", "Retry-After", "7")(req)
	}))
	_, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	assert.True(t, f.one(t).Late)
	assert.Equal(t, breaker.Closed, f.breaker.State())
}

// With Choose dates are taken against system time, which in a bubble is fake.
func TestG44_DateWithChoose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBreaker(t, func(cfg *breaker.Config) { cfg.Trip = breaker.ConsecutiveFailures(5) })
		at := time.Now().Add(90 * time.Second)
		transport := newTransport(t, breakerhttp.TransportConfig{
			Base:   answer(503, "", "Retry-After", at.UTC().Format(http.TimeFormat)),
			Choose: func(*http.Request) *breaker.Breaker { return b },
		})
		time.Sleep(30 * time.Second)
		_, err := transport.RoundTrip(get(t))
		require.NoError(t, err)
		assert.Equal(t, time.Minute, b.Snapshot().RetryAfter)
	})
}
