package registry

import (
	"net/netip"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// printable reports whether s is valid UTF-8 without control characters.
func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// legible is a text of any kind as a reason: cut, valid and without control
// characters.
func legible(s string) string {
	s = strings.ToValidUTF8(s[:min(len(s), maxReason)], "")
	if printable(s) {
		return s
	}
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

func letterOrDigit(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}

// only reports whether s has nothing but letters, digits and extra bytes.
func only(s, extra string) bool {
	for i := range len(s) {
		if !letterOrDigit(s[i]) && strings.IndexByte(extra, s[i]) < 0 {
			return false
		}
	}
	return true
}

const nameRule = "1 to 255 letters, digits, '-', '_' and '.'"

// validName is nameRule, for the names of services.
func validName(s string) bool { return 0 < len(s) && len(s) <= maxName && only(s, "-_.") }

// validScheme is the rule of RFC 3986, section 3.1.
func validScheme(s string) bool {
	return s != "" && letterOrDigit(s[0]) && (s[0] < '0' || s[0] > '9') && only(s, "+-.")
}

// validHost takes host names and IP addresses without brackets.
func validHost(s string) bool {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.Zone() == ""
	}
	return validName(s)
}

// validAddr is net.SplitHostPort and more, without package net.
func validAddr(s string) bool {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 {
		return false
	}
	host, port := s[:colon], s[colon+1:]
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 || port[0] == '0' {
		return false
	}
	if inner, ok := strings.CutPrefix(host, "["); ok {
		inner, ok = strings.CutSuffix(inner, "]")
		ip, err := netip.ParseAddr(inner)
		return ok && err == nil && ip.Is6() && only(ip.Zone(), "-_.")
	}
	return validName(host)
}
