package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestRun_usage(t *testing.T) {
	for args, want := range map[string]string{
		"now":             "orders: unexpected argument \"now\"\n",
		"-kill -kills 0":  "orders: -kills is 0, want 1 to 1000\n",
		"-kill -kills -3": "orders: -kills is -3, want 1 to 1000\n",
		"-kills 1001":     "orders: -kills is 1001, want 1 to 1000\n",
		"-kills 2":        "orders: -kills is 2, but there is no -kill\n",
		"-seed x":         "invalid value \"x\" for flag -seed",
		"-policy x":       "flag provided but not defined: -policy",
	} {
		status, out, errs := command(t.Context(), nil, strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Contains(t, errs, want)
	}
}

func TestRun_help(t *testing.T) {
	status, out, errs := command(t.Context(), nil, "-h")
	assert.Zero(t, status)
	assert.Empty(t, out)
	assert.Equal(t, usage, errs)
}

func TestParse(t *testing.T) {
	for args, want := range map[string]options{
		"":                         {seed: 1},
		"-kill":                    {seed: 1, kills: 3},
		"-kill -kills 50 -seed 12": {seed: 12, kills: 50},
		"-dir d -mermaid m -orders -": {
			seed: 1, dir: "d", mermaid: "m", orders: "-",
		},
	} {
		var errs bytes.Buffer
		got, err := parse(strings.Fields(args), &errs)
		require.NoError(t, err, args)
		assert.Equal(t, want, got, args)
		assert.Empty(t, errs.String())
	}
}

func TestOptions_claim(t *testing.T) {
	require.NoError(t, options{}.claim())
	dir := filepath.Join(t.TempDir(), "a", "b")
	require.NoError(t, options{dir: dir}.claim())
	assert.DirExists(t, dir)
	require.NoError(t, options{dir: dir}.claim(), "empty")

	file := filepath.Join(dir, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	require.ErrorContains(t, options{dir: dir}.claim(), "which holds file, want an empty directory")
	require.Error(t, options{dir: file}.claim())
}

func TestOptions_drawing(t *testing.T) {
	assert.Empty(t, options{}.drawing())
	assert.Equal(t, "m", options{mermaid: "m"}.drawing())
	assert.Equal(t, "m", options{mermaid: "m", dir: "d"}.drawing())
	assert.Equal(t, filepath.Join("d", "compensated.mmd"), options{dir: "d"}.drawing())
}
