package registryhttp

import (
	"context"
	"errors"
	"fmt"
	"net/http"
)

// A StatusError is how Config.IsFailure and Retry.If of the balancer see a
// response of status 400 and above; callers of the Transport get the response.
//
// By default a status of 500 and above is a failure of the instance, and so are
// 429 and every other error, unless the caller gave up. Tried again are 502, 503
// and 504, and every error of Base, if the request allows it: see [Transport].
type StatusError struct {
	Code   int
	Header http.Header // of the response; read-only
}

// Error tells the status.
func (e *StatusError) Error() string {
	return fmt.Sprintf("registryhttp: status %d %s", e.Code, http.StatusText(e.Code))
}

// statusError is the error for a response, nil below 400.
func statusError(resp *http.Response) error {
	if resp.StatusCode < http.StatusBadRequest {
		return nil
	}
	return &StatusError{resp.StatusCode, resp.Header}
}

func isFailure(err error) bool {
	var s *StatusError
	if errors.As(err, &s) {
		return s.Code >= http.StatusInternalServerError || s.Code == http.StatusTooManyRequests
	}
	return !errors.Is(err, context.Canceled)
}

func isTransient(err error) bool {
	var s *StatusError
	if !errors.As(err, &s) {
		return true
	}
	switch s.Code {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

// Misuse that has no field to name.
var (
	errNilRegistry   = errors.New("registryhttp: nil *registry.Registry")
	errNilRequest    = errors.New("registryhttp: nil *http.Request")
	errNilURL        = errors.New("registryhttp: nil Request.URL")
	errZeroTransport = errors.New("registryhttp: nil or zero Transport, use NewTransport")
)
