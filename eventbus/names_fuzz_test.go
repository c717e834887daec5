package eventbus

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// naiveMatch is the definition of patterns.
func naiveMatch(pattern, name []string) bool {
	if len(pattern) == 0 || len(name) == 0 {
		return len(pattern) == 0 && len(name) == 0
	}
	switch pattern[0] {
	case ">":
		return naiveMatch(pattern[1:], name[1:]) || naiveMatch(pattern, name[1:])
	case "*", name[0]:
		return naiveMatch(pattern[1:], name[1:])
	}
	return false
}

// naiveLegal is G30, rune by rune.
func naiveLegal(s string, isPattern bool) bool {
	if len(s) == 0 || len(s) > 1024 {
		return false
	}
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || unicode.Is(unicode.White_Space, r) || unicode.Is(unicode.Cc, r) {
			return false
		}
		i += n
	}
	tokens := strings.Split(s, ".")
	for i, token := range tokens {
		wild := token == "*" || token == ">"
		misplaced := token == ">" && i < len(tokens)-1
		if token == "" || wild && !isPattern || misplaced {
			return false
		}
	}
	return true
}

// S36: patterns against the naive matcher.
func FuzzPattern(f *testing.F) {
	f.Add("a.*.c", "a.b.c")
	f.Add("a.>", "a")
	f.Add("a.>.b", "a.b.b")
	f.Add(">", "a.b.c")
	f.Add("*.*.>", "a.b.c.d")
	f.Add("a*.>", "a*.b")
	f.Add("a..b", "\xff")
	f.Fuzz(func(t *testing.T, text, name string) {
		check := func(text, name string) {
			p, err := parsePattern(text)
			require.Equal(t, naiveLegal(text, true), err == nil, "pattern %q: %v", text, err)
			if err != nil || !naiveLegal(name, false) {
				return
			}
			require.Equal(t, text, p.String())
			want := naiveMatch(strings.Split(text, "."), strings.Split(name, "."))
			require.Equal(t, want, p.matches(name), "pattern %q, name %q", text, name)
		}
		check(text, name)
		check(text, text)
		check(name, name)
		check(few(text), few(name))
	})
}

// few maps s to a few letters, from which names and patterns come about that
// have to do with each other.
func few(s string) string {
	const letters = "ab..*>"
	return strings.Map(func(r rune) rune { return rune(letters[int(r)%len(letters)]) }, s)
}

// FuzzName: names against the naive check, and whatever a type is called, it
// gets a name.
func FuzzName(f *testing.F) {
	f.Add("orders.created")
	f.Add("a..b")
	f.Add(".a.")
	f.Add("a.*.>")
	f.Add("a\u00a0b\n")
	f.Add("\xed\xa0\x80")
	f.Add(strings.Repeat("\u00e9.", 400))
	f.Fuzz(func(t *testing.T, name string) {
		err := checkName(name)
		require.Equal(t, naiveLegal(name, false), err == nil, "%q: %v", name, err)
		if err != nil {
			text := err.Error()
			require.Contains(t, text, "Name is ")
			require.Less(t, len(text), 1024)
			require.True(t, utf8.ValidString(text))
			require.False(t, strings.ContainsFunc(text, unicode.IsControl), "%q", text)
		}
		legal := legalName(name)
		require.NoError(t, checkName(legal))
		require.Equal(t, legal, legalName(legal))
		if err == nil && !strings.ContainsAny(name, "*>\ufffd") {
			require.Equal(t, name, legal)
		}
	})
}
