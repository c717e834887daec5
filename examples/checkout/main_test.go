package main

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// command is the command with these arguments.
func command(ctx context.Context, in io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, args, in, &out, &errs)
	return status, out.String(), errs.String()
}

// fewOrders is a file of some of the orders that come with the program.
func fewOrders(t *testing.T, n int) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "few.jsonl")
	text := bytes.Join(bytes.SplitAfterN(shipped, []byte("\n"), n+1)[:n], nil)
	require.NoError(t, os.WriteFile(name, text, 0o600))
	return name
}

func TestRun(t *testing.T) {
	status, out, errs := command(t.Context(), nil, "-for", "1s", "-orders", fewOrders(t, 60), "-seed", "2")
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Equal(t, 10, strings.Count(out, "\nok   "), "%s", out)
	assert.NotContains(t, out, "FAILED")
	for _, want := range []string{
		"60 orders within 1s; what fails is by seed 2. Each is a run of the saga \"checkout\"",
		"  stock-1: registered\n",
		"  orders-1 is dead\n",
		"  orders-1 is well again\n",
		"  stock-1 answers late\n",
		" is overloaded\n",
		" is slow\n",
		"  payment-1: gone: drained\n",
		"\nORDERS  RUN ",
		" compensated  ",
		"\nSERVICE   requests  503 ",
		"\nINSTANCE    calls since its start  breaker opened\n",
		"\nSUBSCRIBER  topic ",
		"\nThe order service was started 2 times. All of it took ",
		"every order is done as a whole or not at all                    60 of 60\n",
		"nothing goes on when all is closed                              0 goroutines left\n",
	} {
		assert.Contains(t, out, want)
	}
	assert.Regexp(t, regexp.MustCompile(`breaker opens for \d+m?s: `), out)
	assert.Regexp(t, regexp.MustCompile(`so far: \d+ placed, \d+ on their way, \d+ completed, \d+ compensated`), out)
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len(line), width+1, "%s", line)
	}
}

const twoOrders = `
{"id":"one","customer":"ann","item":"lamp","quantity":1,"cents":100}

{"id":"two","customer":"ann","item":"lamp","quantity":2,"cents":200}
`

// Orders of one's own, and nothing fails. What is written stays in the directory, which
// is then no good for another time.
func TestRun_ownOrders(t *testing.T) {
	s := script{1}
	require.Empty(t, s.refusal("one").why+s.refusal("two").why)
	dir := filepath.Join(t.TempDir(), "new")
	args := []string{"-faults", "none", "-for", "500ms", "-orders", "-", "-dir", dir}
	status, out, errs := command(t.Context(), strings.NewReader(twoOrders), args...)
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Equal(t, 9, strings.Count(out, "\nok   "), "%s", out)
	assert.Contains(t, out, "2 orders within 500ms; nothing fails.")
	assert.Contains(t, out, " 2 of 2\n")
	assert.Contains(t, out, "\nThe order service was started 1 time. ")

	assert.FileExists(t, filepath.Join(dir, "journal", "00000001.saga"))
	audit, err := os.ReadFile(filepath.Join(dir, "audit.log"))
	require.NoError(t, err)
	for _, want := range []string{
		" registry.changed stock-1: registered\n",
		" orders.placed two: ann wants 2 x lamp\n",
		" saga.status one: running\n",
		" saga.step.began one: reserve, attempt 1\n",
		" saga.step.ended two: reserve, attempt 1: ",
		" orders.ended one: ",
		" registry.changed orders-1: gone: drained\n",
	} {
		assert.Contains(t, string(audit), want)
	}

	status, out, errs = command(t.Context(), strings.NewReader(twoOrders), args...)
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	assert.Equal(t, "checkout: -dir is "+dir+", which holds audit.log, want an empty directory\n", errs)
}

// What is wrong with the orders is told, and nothing is started.
func TestRun_badOrders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	file := filepath.Join(t.TempDir(), "mine.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(twoOrders+`{"id":"three"}`), 0o600))
	status, out, errs := command(t.Context(), nil, "-orders", file, "-dir", dir)
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	assert.Contains(t, errs, "checkout: "+file+":5: customer is missing, want 1 to 128 bytes of text\n")
	assert.NoDirExists(t, dir)

	status, _, errs = command(t.Context(), nil, "-orders", file+"x", "-dir", dir)
	assert.Equal(t, 2, status)
	assert.Contains(t, errs, file+"x")
	assert.NoDirExists(t, dir)

	status, _, errs = command(t.Context(), strings.NewReader(strings.ReplaceAll(twoOrders, "two", "two#2")), "-orders", "-")
	assert.Equal(t, 2, status)
	assert.Equal(t, "checkout: id is \"two#2\", want one without \"#\"\n", errs)
}

func TestRun_usage(t *testing.T) {
	status, out, errs := command(t.Context(), nil, "now")
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	assert.Equal(t, "checkout: unexpected argument \"now\"\n", errs)

	status, out, errs = command(t.Context(), nil, "-h")
	assert.Zero(t, status)
	assert.Empty(t, out)
	assert.Equal(t, usage, errs)
}

// An interrupt in the middle of it, while instances are dead: no more customers come,
// those who have come are served, and the books are right.
func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	var errs bytes.Buffer
	out.at(" is dead", func(string) { cancel() })
	status := run(ctx, []string{"-for", "1500ms"}, nil, &out, &errs)
	assert.Zero(t, status, "%s", &out)
	assert.Empty(t, errs.String())
	assert.Equal(t, 9, strings.Count(out.String(), "\nok   "), "%s", &out)
	assert.NotContains(t, out.String(), "360 of 360")
	assert.Contains(t, out.String(), "is well again")
}

// An interrupt before there is anybody.
func TestRun_interruptedAtTheStart(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, out, errs := command(ctx, nil)
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, context.Canceled.Error())
	assert.NotContains(t, out, "ok   ")
	assert.NotContains(t, out, "ORDERS")
}

// The page is there as long as the shop is open, and its buttons break the shop.
func TestRun_page(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	var errs bytes.Buffer
	seen := make(chan string, 1)
	out.at("Look at http://", func(line string) { seen <- regexp.MustCompile(`http://\S+`).FindString(line) })
	ended := make(chan int, 1)
	go func() {
		ended <- run(ctx, []string{"-http", "127.0.0.1:0", "-for", "500ms", "-faults", "none"}, nil, &out, &errs)
	}()
	url := <-seen
	client := &http.Client{Transport: &http.Transport{}, Timeout: 20 * time.Second}
	defer client.CloseIdleConnections()

	status, text := fetch(t, client, http.MethodGet, url, "")
	assert.Equal(t, http.StatusOK, status)
	for _, id := range []string{"orders-1", "stock-1", "payment-1", "payment-2", "payment-3", "shipping-1", "shipping-2"} {
		assert.Contains(t, text, id)
	}
	for form, want := range map[string]int{
		"fault=kill&instance=shipping-2": http.StatusOK,
		"fault=kill&instance=orders-1":   http.StatusOK,
		"fault=heal&instance=orders-1":   http.StatusOK,
		"fault=slow&instance=orders-1":   http.StatusConflict,
		"fault=kill&instance=mailer-1":   http.StatusBadRequest,
	} {
		status, text := fetch(t, client, http.MethodPost, url+"/inject", form)
		assert.Equal(t, want, status, "%s: %s", form, text)
	}
	cancel()
	assert.Zero(t, <-ended, "%s", &out)
	assert.Empty(t, errs.String())
	assert.Equal(t, 9, strings.Count(out.String(), "\nok   "), "%s", &out)
	assert.Contains(t, out.String(), "shipping-2 is dead")
}

func fetch(t *testing.T, c *http.Client, method, url, form string) (status int, body string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(form))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := c.Do(req) // a form is sent back to the page
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

// Somebody else has the address, or it is none that can be had: all is closed again.
func TestRun_noPage(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer taken.Close()
	before := goroutines()
	for _, addr := range []string{taken.Addr().String(), "a b:80"} {
		status, out, errs := command(t.Context(), nil, "-http", addr, "-for", "500ms")
		assert.Equal(t, 1, status, addr)
		assert.Contains(t, errs, "checkout: ", addr)
		assert.NotContains(t, out, "ok   ", addr)
		assert.Contains(t, out, "orders-1: gone: drained", addr)
	}
	settle(func() bool { return goroutines() <= before })
	assert.LessOrEqual(t, goroutines(), before)
}

// Where nothing can be written there is no shop.
func TestPerform_cannotStart(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "journal")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	p := plan{orders: someOrders(t, 0, 2), script: script{1}, tempo: tempo{leastTime}}
	before := goroutines()
	for _, p.dir = range []string{dir, file, filepath.Join(dir, "none")} {
		var out bytes.Buffer
		require.Error(t, perform(t.Context(), p, "", &out), p.dir)
		assert.NotContains(t, out.String(), "ok   ")
	}
	settle(func() bool { return goroutines() <= before })
	assert.LessOrEqual(t, goroutines(), before)
}

// An order that nobody understands is not taken, now or later, and that is not as it
// should be.
func TestPerform_unexpected(t *testing.T) {
	orders := someOrders(t, 0, 2)
	orders[1].Item = strings.Repeat("lamp", maxBody)
	p := plan{orders: orders, script: script{1}, tempo: tempo{leastTime}, dir: t.TempDir()}
	var out bytes.Buffer
	require.ErrorIs(t, perform(t.Context(), p, "", &out), errExpectations)
	assert.Contains(t, out.String(), "\nFAILED  every order was taken, however often the service was away\n        1 of 2; order-002: ")
	assert.Contains(t, out.String(), ": 400 the order is no order: http: request body too large")
	assert.Contains(t, out.String(), "\nok      no key had an effect twice")
}
