// Package examples holds what README.md and the quick starts of the packages
// show, so that it compiles and runs.
package examples

import (
	"context"
	"errors"
	"fmt"
	"go/format"
	"go/scanner"
	"go/token"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func charge(context.Context, string) (string, error) { return "receipt", nil }

// One for the whole program: it keeps the breakers.
var client = &http.Client{
	Transport: breakerhttp.MustNewTransport(breakerhttp.TransportConfig{TrustEarlyClose: true}),
	Timeout:   5 * time.Second, // without a deadline a server that hangs is never found out
}

func get(url string) ([]byte, error) {
	resp, err := client.Get(url)
	if err != nil {
		return nil, err // if it is breaker.ErrRejected, nothing was sent
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

func fetch(url string) ([]byte, error) {
	resp, err := client.Get(url)
	if errors.Is(err, breaker.ErrRejected) {
		return []byte("a fallback"), nil // nothing was sent
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// The quick start of package breakerhttp, and what README.md makes of it.
func Example_http() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusInternalServerError)
		fmt.Fprint(w, "out of order")
	}))
	defer server.Close()

	for range 6 {
		body, err := fetch(server.URL)
		fmt.Println(string(body), err)
	}
	_, err := get(server.URL)
	fmt.Println(errors.Is(err, breaker.ErrRejected))
	// Output:
	// out of order <nil>
	// out of order <nil>
	// out of order <nil>
	// out of order <nil>
	// out of order <nil>
	// a fallback <nil>
	// true
}

// One for the whole program: it remembers.
var cards = breaker.MustNew("cards", breaker.Config{
	Trip: breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
})

func chargeCard(ctx context.Context, order string) (string, error) {
	receipt, err := breaker.Do(ctx, cards, func(ctx context.Context) (string, error) {
		return charge(ctx, order)
	})
	if rejected := (*breaker.RejectedError)(nil); errors.As(err, &rejected) {
		fmt.Println("not called; pointless for another", rejected.RetryAfter().Round(time.Second))
	}
	return receipt, err
}

// The quick start of package breaker.
func Example_quickStart() {
	fmt.Println(chargeCard(context.Background(), "order 7"))
	cards.Trip(time.Hour, nil)
	_, err := chargeCard(context.Background(), "order 8")
	fmt.Println(errors.Is(err, breaker.ErrOpen))
	// Output:
	// receipt <nil>
	// not called; pointless for another 1h0m0s
	// true
}

var payments = breaker.MustNew("payments", breaker.Config{
	Trip: breaker.Any(
		breaker.FailureRate(0.5, 20, breaker.Within(10*time.Second)),
		breaker.SlowRate(2*time.Second, 0.5, 20, breaker.LastN(100)),
	),
	OpenFor: 15 * time.Second,
	Backoff: 2, Jitter: 0.2, // 15s, 30s, 60s ... up to 150s, each +- 20 %
	Ramp: 10 * time.Second, // and then come back gently
})

func pay(ctx context.Context, order string) (string, error) {
	return breaker.Do(ctx, payments, func(ctx context.Context) (string, error) {
		return charge(ctx, order)
	})
}

func Example_do() {
	receipt, err := pay(context.Background(), "order 7")
	fmt.Println(receipt, err)
	// Output: receipt <nil>
}

func TestREADME_breakerInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := breaker.MustNew("stock", breaker.Config{OpenFor: time.Minute})
		b.Trip(0, errors.New("down"))
		time.Sleep(time.Minute)
		assert.Equal(t, breaker.HalfOpen, b.State())
	})
}

// Each block of Go in README.md, and each quick start of a package, stands
// among what is compiled here.
func TestREADME(t *testing.T) {
	block := regexp.MustCompile("(?ms)^```go\n(.*?)^```")
	quickStart := regexp.MustCompile(`(?ms)^// # Quick start$\n//\n(.*?)^//\n// #`)
	slashes := regexp.MustCompile(`(?m)^//\t?`)
	source := read(t, "readme_test.go") + read(t, "readme_events_test.go") + read(t, "readme_registry_test.go") + read(t, "readme_saga_test.go") + read(t, "readme_composed_test.go")
	for file, pattern := range map[string]*regexp.Regexp{
		"../README.md":                    block,
		"../breaker/doc.go":               quickStart,
		"../breaker/breakerhttp/doc.go":   quickStart,
		"../eventbus/doc.go":              quickStart,
		"../registry/doc.go":              quickStart,
		"../registry/balance/doc.go":      quickStart,
		"../registry/registrydns/doc.go":  quickStart,
		"../registry/registryhttp/doc.go": quickStart,
		"../registry/registrytest/doc.go": quickStart,
		"../saga/doc.go":                  quickStart,
		"../saga/durable/doc.go":          quickStart,
		"../saga/filestore/doc.go":        quickStart,
		"../saga/sagatest/doc.go":         quickStart,
	} {
		shown := pattern.FindAllStringSubmatch(read(t, file), -1)
		require.NotEmpty(t, shown, "%s", file)
		for _, match := range shown {
			code := match[1]
			if pattern == quickStart {
				code = slashes.ReplaceAllString(code, "")
			}
			for _, paragraph := range strings.Split(strings.TrimSuffix(code, "\n"), "\n\n") {
				assert.True(t, compiled(source, paragraph+"\n"), "%s shows what is not compiled here:\n%s", file, paragraph)
			}
			formatted, err := format.Source([]byte(code))
			assert.NoError(t, err, "%s:\n%s", file, code)
			assert.Equal(t, string(formatted), code, "%s: as gofmt has it", file)
		}
	}
}

// Each test and benchmark that README.md names for a guarantee is one.
func TestREADME_namesTests(t *testing.T) {
	var source strings.Builder
	for _, dir := range []string{
		"breaker", "breaker/breakerhttp", "eventbus", "registry", "registry/balance", "registry/registryhttp", "saga", "saga/durable", "saga/filestore", "saga/sagatest", "examples",
	} {
		files, err := filepath.Glob("../" + dir + "/*_test.go")
		require.NoError(t, err)
		require.NotEmpty(t, files, dir)
		for _, file := range files {
			source.WriteString(read(t, file))
		}
	}
	named := regexp.MustCompile("`((?:Test|Benchmark)[A-Z][^`]*)`").FindAllStringSubmatch(read(t, "../README.md"), -1)
	require.NotEmpty(t, named)
	for _, match := range named {
		assert.True(t, strings.Contains(source.String(), "\nfunc "+match[1]+"("), "there is no %s", match[1])
	}
}

// README.md knows how many guarantees each package has.
func TestREADME_countsGuarantees(t *testing.T) {
	claims := regexp.MustCompile(`\[(\d+) [^\]]*\]\(([a-z/]+/doc\.go)\)`).FindAllStringSubmatch(read(t, "../README.md"), -1)
	require.Len(t, claims, 9)
	for _, claim := range claims {
		numbered := regexp.MustCompile(`(?m)^//   - [A-Z]\d+:`).FindAllString(read(t, "../"+claim[2]), -1)
		assert.Equal(t, claim[1], fmt.Sprint(len(numbered)), claim[2])
	}
}

func TestCompiled(t *testing.T) {
	const source = `package p

// f calls.
func f() {
	// go on()
	x := "stop()" // twice
	g(x, 1)
	/*
		h()
	*/
}
`
	for code, want := range map[string]bool{
		"g(x, 1)\n":                           true,
		"x := \"stop()\" // twice\ng(x, 1)\n": true,
		"x := \"stop()\"\ng(x, 1)\n":          false, // another comment, or none, is another text
		"x := \"stop()\" // twice\n":          true,
		"g(x, 1)":                             true,
		"g(x)\n":                              false,
		"(x, 1)\n":                            false,
		"on()\n":                              false,
		"h()\n":                               false,
		"stop()\n":                            false,
	} {
		assert.Equal(t, want, compiled(source, code), "%s", code)
	}
}

// compiled reports whether code is among the statements and declarations of a
// file: it is there token by token, comments included, and begins where one of
// them does. Indentation does not count, and code in a comment is none.
func compiled(file, code string) bool {
	return strings.Contains(tokens(file), "\n"+tokens(code))
}

// tokens are those of source, line by line of it, and marked off so that none
// is found in a part of another.
func tokens(source string) string {
	file := token.NewFileSet().AddFile("", -1, len(source))
	var s scanner.Scanner
	s.Init(file, []byte(source), nil, scanner.ScanComments)
	var out strings.Builder
	line := 1
	for {
		pos, tok, lit := s.Scan()
		if tok == token.EOF {
			return out.String()
		}
		if at := file.Line(pos); at > line {
			line = at
			out.WriteString("\n")
		}
		fmt.Fprintf(&out, "%v %q ", tok, lit)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}
