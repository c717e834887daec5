package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMain makes the test binary the worker of its own tests.
func TestMain(m *testing.M) {
	if os.Getenv(workerEnv) != "" {
		os.Exit(workerMain())
	}
	os.Exit(m.Run())
}

// command is the command with these arguments.
func command(ctx context.Context, in io.Reader, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, args, in, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRun(t *testing.T) {
	status, out, errs := command(t.Context(), nil)
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Equal(t, 6, strings.Count(out, "\nok   "), "%s", out)
	assert.NotContains(t, out, "FAILED")
	for _, want := range []string{
		"24 orders, each a run of the saga \"checkout\"",
		"\nworker 1  has brought every run to its end, after ",
		"  compensated  ",
		"The worker was killed 0 times, in the middle of 0 attempts of ",
		"\nThis is the run of order-",
		"\nflowchart TD\n",
		"\"]:::undone\n",
	} {
		assert.Contains(t, out, want)
	}
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len(line), width+1, "%s", line)
	}
}

func TestRun_kill(t *testing.T) {
	dir := t.TempDir()
	status, out, errs := command(t.Context(), nil, "-kill", "-kills", "2", "-seed", "7", "-dir", dir)
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Equal(t, 7, strings.Count(out, "\nok   "), "%s", out)
	assert.Contains(t, out, "\nworker 1  was killed, after ")
	assert.NotContains(t, out, "flowchart")

	drawn := filepath.Join(dir, "compensated.mmd")
	assert.Contains(t, out, " is drawn in "+drawn+".\n")
	mermaid, err := os.ReadFile(drawn)
	require.NoError(t, err)
	assert.Contains(t, string(mermaid), "flowchart TD\n")
	assert.FileExists(t, filepath.Join(dir, "runs", "00000001.saga"))

	status, _, errs = command(t.Context(), nil, "-dir", dir)
	assert.Equal(t, 2, status)
	assert.Contains(t, errs, "which holds compensated.mmd, want an empty directory\n")
}

const twoOrders = `
{"id":"one","customer":"ann","item":"lamp","quantity":1,"cents":100}

{"id":"two","customer":"ann","item":"lamp","quantity":2,"cents":200}
`

// Orders of one's own, of which none is refused.
func TestRun_orders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	s := script{1}
	for s.fate("one") != (fate{}) || s.fate("two") != (fate{}) {
		s.seed++
	}
	seed := strconv.FormatUint(s.seed, 10)
	status, out, errs := command(t.Context(), strings.NewReader(twoOrders), "-orders", "-", "-dir", dir, "-seed", seed)
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Contains(t, out, "2 orders, each a run ")
	assert.Contains(t, out, "services fail as seed "+seed+" has it")
}

// What is wrong with the orders is told, and nothing is started.
func TestRun_badOrders(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	file := filepath.Join(t.TempDir(), "mine.jsonl")
	require.NoError(t, os.WriteFile(file, []byte(twoOrders+strings.Replace(twoOrders, "200", "-1", 1)), 0o600))
	status, out, errs := command(t.Context(), nil, "-orders", file, "-dir", dir)
	assert.Equal(t, 2, status)
	assert.Empty(t, out)
	assert.Equal(t, "orders: "+file+":6: id is \"one\", want another one than in line 2\n"+
		file+":8: cents is -1, want 1 to 1000000000\n"+
		file+":8: id is \"two\", want another one than in line 4\n", errs)
	assert.NoDirExists(t, dir)

	status, _, errs = command(t.Context(), nil, "-orders", file+"x", "-dir", dir)
	assert.Equal(t, 2, status)
	assert.Contains(t, errs, file+"x")
	assert.NoDirExists(t, dir)
}

func TestRun_mermaid(t *testing.T) {
	file := filepath.Join(t.TempDir(), "drawn.mmd")
	status, out, _ := command(t.Context(), nil, "-mermaid", file)
	assert.Zero(t, status, "%s", out)
	assert.Contains(t, out, " is drawn in "+file+".\n")
	assert.FileExists(t, file)

	status, out, errs := command(t.Context(), nil, "-mermaid", filepath.Join(file, "x"))
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "orders: open ")
	assert.NotContains(t, out, "ok   ")
}

func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, out, errs := command(ctx, nil)
	assert.Equal(t, 1, status)
	assert.Equal(t, "orders: interrupted, so the expectations were not checked\n", errs)
	assert.NotContains(t, out, "ok   ")
}

// With a directory that cannot be used the worker says so.
func TestPlay_cannotStart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	var out bytes.Buffer
	require.Error(t, play(t.Context(), plan{orders: orders, dir: file, errs: io.Discard}, options{}, &out))

	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "runs"), nil, 0o600))
	require.Error(t, play(t.Context(), plan{orders: orders, dir: dir, errs: io.Discard}, options{}, &out))
	assert.NotContains(t, out.String(), "ok   ")
}

func TestPresent_unexpected(t *testing.T) {
	o := goodOutcome(t)
	var out bytes.Buffer
	require.NoError(t, present(&out, o, options{}))
	o.postings = o.postings[1:]
	require.ErrorIs(t, present(&out, o, options{}), errExpectations)
	assert.Contains(t, out.String(), "\nFAILED  every order is done as a whole or not at all\n        3 of 4; order-02: completed with 0 reservations\n")
}
