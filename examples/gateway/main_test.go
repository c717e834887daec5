package main

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// gatewayCommand is the command with these arguments.
func gatewayCommand(ctx context.Context, s script, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, s, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRun_usage(t *testing.T) {
	for args, want := range map[string]string{
		"now":     "gateway: unexpected argument \"now\"\n",
		"-seed 1": "flag provided but not defined: -seed",
	} {
		status, out, errs := gatewayCommand(t.Context(), fullScript(), strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Contains(t, errs, want)
	}
}

func TestRun_help(t *testing.T) {
	status, out, errs := gatewayCommand(t.Context(), fullScript(), "-h")
	assert.Zero(t, status)
	assert.Empty(t, out)
	assert.Equal(t, usage, errs)
}

// In real time, on the real network. Shares are not judged: how slow a backend
// is beside the others depends on what else this machine does.
func TestRun(t *testing.T) {
	s := fullScript()
	s.least = 0
	for i := range s.phases {
		if s.phases[i].kind == slow {
			s.phases[i].kind = healthy
		}
	}
	status, out, errs := gatewayCommand(t.Context(), s)
	assert.Zero(t, status, "%s", out)
	assert.Empty(t, errs)
	assert.Equal(t, 8, strings.Count(out, "\nok   "))
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len(line), width+1, "%s", line)
	}
}

func TestRun_unexpected(t *testing.T) {
	s := fullScript()
	s.phases = s.phases[:1]
	s.phases[0].calls = 5
	status, out, errs := gatewayCommand(t.Context(), s)
	assert.Equal(t, 1, status)
	assert.Equal(t, "gateway: not all expectations held\n", errs)
	assert.Contains(t, out, "\nok      no call that could succeed failed ")
	assert.Contains(t, out, "\nFAILED  who drains says so, finishes its calls, then stops     nobody drained\n")
}

func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	status, _, errs := gatewayCommand(ctx, fullScript())
	assert.Equal(t, 1, status)
	assert.Contains(t, errs, "gateway: ")
}
