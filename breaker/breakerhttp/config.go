package breakerhttp

import (
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// TransportConfig says what a [Transport] guards and how it judges. It is
// passed by value, copied, and never changed later. The zero TransportConfig is
// valid: a breaker per host with the zero [breaker.Config], in front of
// [http.DefaultTransport].
type TransportConfig struct {
	// Base makes the round trips. Nil: http.DefaultTransport.
	Base http.RoundTripper

	// Group says how the breakers are made, one per key, and when they are
	// forgotten. Its Config.Clock also dates Retry-After. Its Config.Classify
	// judges errors: see Classify.
	Group breaker.GroupConfig[string]

	// Key names the breaker of a request. It must be safe for concurrent use
	// and must not change the request. Nil: URL.Host in lower case, with its
	// port if it has one.
	Key func(*http.Request) string

	// Choose takes the place of Group and Key, which must be zero then: it
	// returns the breaker of a request, or nil for none, and then the request
	// goes to Base unguarded. It must be safe for concurrent use and must not
	// change the request. Nil: Group and Key decide.
	Choose func(*http.Request) *breaker.Breaker

	// Classify judges what Base returned. It must be safe for concurrent use,
	// and leave the response's Body alone: Success is only said of the header,
	// the body may still fail (G43). It is free to fall back on
	// [DefaultClassify]. Nil: responses are judged by DefaultClassify; errors
	// by the Config.Classify of the breaker, which is breaker.DefaultClassify
	// unless set. That one judges errors of reading a body in any case.
	Classify func(*http.Request, *http.Response, error) breaker.Outcome

	// MaxRetryAfter is the longest time that a Retry-After field can open the
	// breaker for. Zero: 5m. Negative: the field is ignored.
	MaxRetryAfter time.Duration

	// TrustEarlyClose makes the Close of a Body before its end a success. By
	// default it is Ignored, because nobody knows whether the rest would have
	// come. Set it if not every body is read to its end: by a client that only
	// looks at the status, or by a decoder that stops before the end, such as a
	// json.Decoder in front of a chunked body. Else their good calls do not end
	// a row of failures, are missing from rates, which so come out too high,
	// and never close a half-open breaker.
	TrustEarlyClose bool
}

const defaultMaxRetryAfter = 5 * time.Minute

// chosenAlone is the error for settings that Choose would leave unused.
func chosenAlone(cfg TransportConfig) error {
	var errs []error
	if cfg.Key != nil {
		errs = append(errs, errors.New("breakerhttp: Key is set, want nil with Choose"))
	}
	if !reflect.ValueOf(cfg.Group).IsZero() {
		errs = append(errs, errors.New("breakerhttp: Group is set, want zero with Choose"))
	}
	return errors.Join(errs...)
}

// inGroup says of each problem where it is.
func inGroup(err error) error {
	problems := []error{err}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		problems = joined.Unwrap()
	}
	var errs []error
	for _, p := range problems {
		errs = append(errs, fmt.Errorf("breakerhttp: Group.Config: %w", p))
	}
	return errors.Join(errs...)
}
