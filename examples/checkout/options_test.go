package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	usual := options{seed: 1, faults: "script", within: 20 * time.Second}
	for args, change := range map[string]func(*options){
		"":                     func(*options) {},
		"-http 127.0.0.1:8080": func(o *options) { o.page = "127.0.0.1:8080" },
		"-http :0":             func(o *options) { o.page = ":0" },
		"-faults none":         func(o *options) { o.faults = "none" },
		"-for 500ms":           func(o *options) { o.within = 500 * time.Millisecond },
		"-for 24h":             func(o *options) { o.within = 24 * time.Hour },
		"-seed 7 -orders -":    func(o *options) { o.seed, o.orders = 7, "-" },
		"-seed 0 -dir d":       func(o *options) { o.seed, o.dir = 0, "d" },
	} {
		want := usual
		change(&want)
		var errs bytes.Buffer
		got, err := parse(strings.Fields(args), &errs)
		require.NoError(t, err, args)
		assert.Equal(t, want, got, args)
		assert.Empty(t, errs.String(), args)
	}
}

func TestParse_refused(t *testing.T) {
	for args, want := range map[string]string{
		"now":           "checkout: unexpected argument \"now\"\n",
		"-seed 1 x y":   "checkout: unexpected argument \"x\"\n",
		"-faults":       "flag needs an argument: -faults",
		"-faults some":  "checkout: -faults is \"some\", want script or none\n",
		"-faults=":      "checkout: -faults is \"\", want script or none\n",
		"-for 499ms":    "checkout: -for is 499ms, want 500ms to 24h0m0s\n",
		"-for -1s":      "checkout: -for is -1s, want 500ms to 24h0m0s\n",
		"-for 24h1ns":   "checkout: -for is 24h0m0.000000001s, want 500ms to 24h0m0s\n",
		"-for 20":       "invalid value \"20\" for flag -for",
		"-seed -1":      "invalid value \"-1\" for flag -seed",
		"-seed x":       "invalid value \"x\" for flag -seed",
		"-http 8080":    "checkout: -http is \"8080\", want host:port: address 8080: missing port in address\n",
		"-http [::1":    "checkout: -http is \"[::1\", want host:port: ",
		"-policy x":     "flag provided but not defined: -policy",
		"-http=x:1 y:2": "checkout: unexpected argument \"y:2\"\n",
	} {
		var errs bytes.Buffer
		got, err := parse(strings.Fields(args), &errs)
		require.Error(t, err, args)
		assert.Equal(t, options{}, got, args)
		assert.Contains(t, errs.String(), want)
	}
}

// The help is the usage alone, and tells every option with what it is without.
func TestParse_help(t *testing.T) {
	for _, arg := range []string{"-h", "-help", "--help"} {
		var errs bytes.Buffer
		_, err := parse([]string{arg}, &errs)
		require.ErrorIs(t, err, errHelp)
		assert.Equal(t, usage, errs.String())
	}
	for _, line := range []string{"\t-http ADDR ", "\t-faults WHICH ", "\t-for D ", "\t-seed N ", "\t-orders FILE ", "\t-dir DIR "} {
		assert.Contains(t, usage, line)
	}
	assert.Contains(t, usage, "; "+strings.TrimSuffix(usualTime.String(), "m0s")+"\n")
}

func TestOptions_claim(t *testing.T) {
	dir, release, err := options{}.claim()
	require.NoError(t, err)
	require.DirExists(t, dir)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o600))
	require.NoError(t, release())
	assert.NoDirExists(t, dir, "a temporary one")

	own := filepath.Join(t.TempDir(), "a", "b")
	for range 2 { // it is made; then it is there and empty
		dir, release, err = options{dir: own}.claim()
		require.NoError(t, err)
		require.NoError(t, release())
		assert.Equal(t, own, dir)
		assert.DirExists(t, own)
	}

	file := filepath.Join(own, "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, _, err = options{dir: own}.claim()
	require.EqualError(t, err, "-dir is "+own+", which holds file, want an empty directory")
	_, _, err = options{dir: file}.claim()
	require.Error(t, err, "no directory")
}
