package breakerhttp

import (
	"net/http"
	"slices"
	"strings"
)

// malformed reports whether a request is one that net/http does not send to anybody:
// it says so with an error that has no type. That is
// nothing the server has done, and a few such requests would open the breaker for
// everybody.
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
