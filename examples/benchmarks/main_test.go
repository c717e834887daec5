package main

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

func small() []bench.Subject {
	nothing := bench.Case{Name: "mainstay", New: func() bench.Run {
		return bench.Run{Loop: func(n int) (int, int) { return n, 0 }}
	}}
	return []bench.Subject{{Name: "small", Groups: []bench.Group{{Name: "g", Rows: []bench.Row{{Name: "r", Ours: nothing}}}}}}
}

func TestRunWritesResults(t *testing.T) {
	t.Chdir(t.TempDir())
	var stdout, stderr bytes.Buffer
	require.NoError(t, run([]string{"-rounds", "2", "-benchtime", "1us"}, small(), &stdout, &stderr))
	text, err := os.ReadFile("RESULTS.md")
	require.NoError(t, err)
	assert.Contains(t, string(text), "    go run . -rounds 2 -benchtime 1us\n")
	assert.Contains(t, string(text), "## Package small")
	assert.Empty(t, stdout.String())
	assert.Contains(t, stderr.String(), "small: g\n")
}

func TestRunOfSomePrints(t *testing.T) {
	t.Chdir(t.TempDir())
	var stdout bytes.Buffer
	require.NoError(t, run([]string{"-rounds=1", "-benchtime=1us", "-run", "^Reads/State, closed$"}, subjects(), &stdout, io.Discard))
	assert.Contains(t, stdout.String(), "-run '^Reads/State, closed$'\n")
	assert.Contains(t, stdout.String(), "mainstay State")
	assert.NotContains(t, stdout.String(), "Allow + Done")
	for _, s := range subjects() {
		assert.Contains(t, stdout.String(), "## Package "+s.Name+"\n")
	}
	assert.NoFileExists(t, "RESULTS.md")
}

func TestRunRefuses(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-benchtime", "-1s"}, {"-run", "("}, {"-nonsense"}, {"breaker"},
	} {
		require.Error(t, run(args, small(), io.Discard, io.Discard), args)
	}
	assert.NoFileExists(t, "RESULTS.md")
}

func TestRunStopsAtACaseThatDoesNotDoItsWork(t *testing.T) {
	t.Chdir(t.TempDir())
	broken := small()
	broken[0].Groups[0].Rows[0].Ours.New = func() bench.Run {
		return bench.Run{Loop: func(int) (int, int) { return 0, 0 }}
	}
	require.ErrorContains(t, run(nil, broken, io.Discard, io.Discard), "g/r/mainstay")
	assert.NoFileExists(t, "RESULTS.md")
}

func TestCommand(t *testing.T) {
	assert.Equal(t, "go run .", command(nil))
	assert.Equal(t, "go run . -run 'a|b' -rounds=3", command([]string{"-run", "a|b", "-rounds=3"}))
	assert.Equal(t, `go run . 'it'\''s'`, command([]string{"it's"}))
}
