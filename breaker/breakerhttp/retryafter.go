package breakerhttp

import (
	"math"
	"net/http"
	"strings"
	"time"
)

// RetryAfter is how long the Retry-After field of a response asks to wait, as of
// now: so many seconds, or until an HTTP date in any of its three forms. It is
// never negative. Zero: there is no such field, it is malformed (a sign, a
// fraction, a unit), or it asks for no time or for time that is past. More
// seconds than a Duration holds are the longest Duration, so cap what you take
// from a stranger. Of several fields the first counts.
//
// Transport does all this itself; RetryAfter is for glue to other clients.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := strings.Trim(h.Get("Retry-After"), " \t")
	if v == "" {
		return 0
	}
	if d, ok := delaySeconds(v); ok {
		return d
	}
	if t, err := http.ParseTime(v); err == nil {
		return max(t.Sub(now), 0)
	}
	return 0
}

// delaySeconds reads delay-seconds of RFC 9110: digits and nothing else. ok
// tells whether it was that.
func delaySeconds(v string) (d time.Duration, ok bool) {
	const most = int64(math.MaxInt64 / time.Second)
	var n int64
	for i := range len(v) {
		c := v[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		if n <= most { // beyond, only the digits matter
			n = n*10 + int64(c-'0')
		}
	}
	if n > most {
		return math.MaxInt64, true
	}
	return time.Duration(n) * time.Second, true
}

// retryAfter is the time for which a response that failed opens the breaker, or
// 0 if it does not say.
func (t *Transport) retryAfter(resp *http.Response) time.Duration {
	if resp.StatusCode != http.StatusTooManyRequests && resp.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	return min(RetryAfter(resp.Header, date(t.clock)), t.maxRetryAfter)
}
