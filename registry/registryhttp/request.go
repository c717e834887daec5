package registryhttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// repeatable reports whether a request may be sent again after an error.
func (u *use) repeatable(err error) bool {
	req := u.req
	if u.failed.Load() { // it would fail anywhere
		return false
	}
	if req.Body != nil && req.Body != http.NoBody && req.GetBody == nil {
		return false
	}
	if idempotent(req) {
		return true
	}
	// Without a connection nothing was sent. But the error may also be one of the
	// body, which then was read.
	var dial *net.OpError
	return errors.As(err, &dial) && dial.Op == "dial" && !u.touched.Load()
}

// idempotent reports whether a request may be sent twice.
func idempotent(req *http.Request) bool {
	switch req.Method {
	case "", http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return true
	}
	if _, ok := req.Header["Idempotency-Key"]; ok {
		return true
	}
	_, ok := req.Header["X-Idempotency-Key"]
	return ok
}

// rewound is a body for another attempt.
func rewound(req *http.Request) (io.ReadCloser, error) {
	if req.Body == nil || req.Body == http.NoBody {
		return req.Body, nil
	}
	return req.GetBody()
}

// malformed reports whether a request is one that net/http does not send to anybody:
// it says so with an error that has no type. That is
// nothing the instance has done, and one such request after another would take
// all of them out.
//
// The Trailer is not looked at: whoever writes the body may change it until that
// has been read, which may be later than the answer.
func malformed(req *http.Request) bool {
	return req.Method != "" && !token(req.Method) || badFields(req.Header) ||
		req.URL != nil && strings.ContainsFunc(req.URL.RequestURI(), control) ||
		req.ContentLength > 0 && req.Body == nil
}

func badFields(fields http.Header) bool {
	for name, values := range fields {
		if !token(name) || slices.ContainsFunc(values, func(v string) bool { return strings.ContainsFunc(v, control) }) {
			return true
		}
	}
	return false
}

// token reports whether a text is a token of RFC 9110, section 5.6.2, as methods
// and names of header fields are.
func token(s string) bool {
	return s != "" && strings.IndexFunc(s, func(r rune) bool {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9':
			return false
		}
		return !strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}) < 0
}

// control reports whether a character may not be in the value of a header field.
func control(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }
