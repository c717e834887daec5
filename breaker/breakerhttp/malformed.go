package breakerhttp

import (
	"net/http"
	"strings"
)

// malformed reports whether a request is one that no http.Transport sends: it says
// so with an error that has no type, before it looks for a connection. That is
// nothing the server has done, and a few such requests would open the breaker for
// everybody.
func malformed(req *http.Request) bool {
	if req.Method != "" && !token(req.Method) {
		return true
	}
	for _, fields := range []http.Header{req.Header, req.Trailer} {
		for name, values := range fields {
			if !token(name) {
				return true
			}
			for _, v := range values {
				if strings.ContainsFunc(v, control) {
					return true
				}
			}
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
