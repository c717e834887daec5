package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
)

// events is the command with these arguments.
func events(ctx context.Context, d day, args ...string) (status int, stdout, stderr string) {
	var out, errs bytes.Buffer
	status = run(ctx, d, args, &out, &errs)
	return status, out.String(), errs.String()
}

func TestRun_usage(t *testing.T) {
	for args, want := range map[string]string{
		"now":       "events: unexpected argument \"now\"\n",
		"-policy x": "flag provided but not defined: -policy",
	} {
		status, out, errs := events(t.Context(), usualDay(), strings.Fields(args)...)
		assert.Equal(t, 2, status, args)
		assert.Empty(t, out, args)
		assert.Contains(t, errs, want)
	}
}

func TestRun_help(t *testing.T) {
	status, out, errs := events(t.Context(), usualDay(), "-h")
	assert.Zero(t, status)
	assert.Empty(t, out)
	assert.Equal(t, usage, errs)
}

const usual = `An order service publishes orders for a dashboard, which keeps up, and a mailer, which does not.
Each of the two has room for 4 orders. One order in 5 is without an address, so the mailer's
filter refuses it; the address of order 6 does not exist, so its mail fails.

rush: 15 orders, and 1 mail in the time of 3 orders
calm: 6 orders, and 2 mails in the time of 1 order

--- Block: the shop waits until there is room
    shop       published 21 of 21 orders
               waited with 9 12 14
    dashboard  saw 1-21
    mailer     saw 1-4 6-9 11-14 16-19 21

--- DropOldest: the subscription loses the oldest order that waits
    shop       published 21 of 21 orders
    dashboard  saw 1-21
    mailer     saw 1-3 [1 lost] 6 [1 lost] 8 [1 lost] 11-14 16-19 21

--- DropNewest: the subscription loses the order
    shop       published 21 of 21 orders
    dashboard  saw 1-21
    mailer     saw 1-4 6-8 [1 lost] 11 [1 lost] 13 [1 lost] 16-19 21

--- Fail: the shop is refused, and nobody gets the order
    shop       published 18 of 21 orders
               was refused 9 12 14
    dashboard  saw 1-8 10 11 13 15-21
    mailer     saw 1-4 6-8 11 13 16-19 21

--- Disconnect: the subscription ends
    shop       published 21 of 21 orders
    dashboard  saw 1-21
    mailer     saw 1-3
               ended: eventbus: queue full: topic "orders.placed", subscription "mailer", event 9

--- Unbounded: there is always room
    shop       published 21 of 21 orders
    dashboard  saw 1-21
    mailer     saw 1-4 6-9 11-14 16-19 21

policy                 published = handled + failed + filtered + lagged + discarded + missed
Block       dashboard         21 =      21 +      0 +        0 +      0 +         0 +      0
Block       mailer            21 =      16 +      1 +        4 +      0 +         0 +      0
DropOldest  dashboard         21 =      21 +      0 +        0 +      0 +         0 +      0
DropOldest  mailer            21 =      13 +      1 +        4 +      3 +         0 +      0
DropNewest  dashboard         21 =      21 +      0 +        0 +      0 +         0 +      0
DropNewest  mailer            21 =      13 +      1 +        4 +      3 +         0 +      0
Fail        dashboard         18 =      18 +      0 +        0 +      0 +         0 +      0
Fail        mailer            18 =      13 +      1 +        4 +      0 +         0 +      0
Disconnect  dashboard         21 =      21 +      0 +        0 +      0 +         0 +      0
Disconnect  mailer            21 =       3 +      0 +        1 +      0 +         4 +     13
Unbounded   dashboard         21 =      21 +      0 +        0 +      0 +         0 +      0
Unbounded   mailer            21 =      16 +      1 +        4 +      0 +         0 +      0

lagged: lost because there was no room        discarded: waited when the subscription ended
missed: the order that ended it, and those after

ok      every account adds up to what was published                    12 of 12
ok      every handler saw what counts as handled or failed, in order   12 of 12
ok      every loss was told to the hook, and every lag on an event     12 of 12
ok      the fast one lost nothing, whatever the policy                 6 of 6
ok      each policy did what it is for, and nothing else               6 of 6
ok      Close left nothing                                             6 of 6
`

// In real time, and in a bubble, which fails if a goroutine is left over.
func TestRun(t *testing.T) {
	status, out, errs := events(t.Context(), usualDay())
	assert.Zero(t, status)
	assert.Empty(t, errs)
	assert.Equal(t, usual, out)
	for line := range strings.Lines(out) {
		assert.LessOrEqual(t, len(line), width+1, "%s", line)
	}
}

func TestRun_inABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		status, out, errs := events(t.Context(), usualDay())
		assert.Zero(t, status)
		assert.Empty(t, errs)
		assert.Equal(t, usual, out)
	})
}

// On a day without a rush no policy has anything to do.
func TestRun_unexpected(t *testing.T) {
	d := usualDay()
	d.phases = d.phases[1:]
	status, out, errs := events(t.Context(), d)
	assert.Equal(t, 1, status)
	assert.Equal(t, "events: not all expectations held\n", errs)
	assert.Contains(t, out, "\nok      every account adds up to what was published ")
	assert.Contains(t, out, "\nFAILED  each policy did what it is for, and nothing else\n"+
		"        1 of 6; Block: nothing happened, want: the shop waited; DropOldest: ")
}

func TestRun_interrupted(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(assert.AnError)
	status, _, errs := events(ctx, usualDay())
	assert.Equal(t, 1, status)
	assert.Equal(t, "events: Block: "+assert.AnError.Error()+"\n", errs)
}
