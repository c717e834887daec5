package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// days are the usual one under each policy.
func days(t *testing.T) []outcome {
	t.Helper()
	var all []outcome
	for _, policy := range policies {
		o, err := usualDay().play(t.Context(), policy)
		require.NoError(t, err)
		all = append(all, o)
	}
	return all
}

func TestJudge_good(t *testing.T) {
	for _, v := range judge(days(t)) {
		assert.True(t, v.held, "%s: %s", v.expected, v.found)
	}
}

// Nothing at all is not good.
func TestJudge_nothing(t *testing.T) {
	for _, v := range judge(nil) {
		assert.False(t, v.held, v.expected)
		assert.Equal(t, "0 of 0", v.found)
	}
}

// Each case breaks one expectation, and no other.
func TestJudge_broken(t *testing.T) {
	const account, handlers, losses, fast, effect, closing = 0, 1, 2, 3, 4, 5
	block, oldest, disconnect := int(eventbus.Block), int(eventbus.DropOldest), int(eventbus.Disconnect)
	const dash, mail = 0, 1
	for _, tc := range []struct {
		name   string
		harm   func([]outcome)
		broken int
		found  string
	}{
		{
			"one too few", func(o []outcome) { o[block].books[mail].stats.Filtered-- },
			account, "11 of 12; Block, mailer: 20 instead of 21, 0 of them not handled yet",
		},
		{
			"one too many", func(o []outcome) { o[block].books[mail].stats.Filtered++ },
			account, "11 of 12; Block, mailer: 22 instead of 21, 0 of them not handled yet",
		},
		{
			"one that waits", func(o []outcome) {
				o[block].books[mail].stats.Filtered--
				o[block].books[mail].stats.Depth++
			},
			account, "11 of 12; Block, mailer: 21 instead of 21, 1 of them not handled yet",
		},
		{
			"one that runs", func(o []outcome) {
				o[block].books[mail].stats.Filtered--
				o[block].books[mail].stats.Running++
			},
			account, "11 of 12; Block, mailer: 21 instead of 21, 1 of them not handled yet",
		},
		{
			"another end", func(o []outcome) {
				o[disconnect].books[mail].end = &eventbus.Error{Seq: 10, Err: eventbus.ErrFull}
			},
			account, "11 of 12; Disconnect, mailer: 20 instead of 21, 0 of them not handled yet",
		},
		{
			"one that was not seen", func(o []outcome) {
				o[block].books[mail].seen = o[block].books[mail].seen[1:]
			},
			handlers, "11 of 12; Block, mailer: 16 instead of 17",
		},
		{
			"seen out of order", func(o []outcome) {
				seen := o[block].books[dash].seen
				seen[3], seen[4] = seen[4], seen[3]
			},
			handlers, "11 of 12; Block, dashboard: 4 after 5",
		},
		{
			"seen twice", func(o []outcome) {
				seen := o[block].books[dash].seen
				seen[3] = seen[4]
			},
			handlers, "11 of 12; Block, dashboard: 5 after 5",
		},
		{
			"a lag that no event has", func(o []outcome) {
				for i := range o[oldest].books[mail].seen {
					o[oldest].books[mail].seen[i].Lag = 0
				}
			},
			losses, "11 of 12; DropOldest, mailer: 3 lagged, 3 by the hook, 0 by the events; 0 discarded, 0 by the hook",
		},
		{
			"a lag that was not told", func(o []outcome) { o[oldest].books[mail].dropped.Lagged-- },
			losses, "11 of 12; DropOldest, mailer: 3 lagged, 2 by the hook, 3 by the events; 0 discarded, 0 by the hook",
		},
		{
			"a discard that was not told", func(o []outcome) { o[disconnect].books[mail].dropped.Discarded-- },
			losses, "11 of 12; Disconnect, mailer: 0 lagged, 0 by the hook, 0 by the events; 4 discarded, 3 by the hook",
		},
		{
			"a fast one that fails", func(o []outcome) {
				o[block].books[dash].stats.Handled--
				o[block].books[dash].stats.Failed++
			},
			fast, "5 of 6; Block: 20 of 21",
		},
		{
			"nobody waits", func(o []outcome) { o[block].waited = nil },
			effect, "5 of 6; Block: nothing happened, want: the shop waited",
		},
		{
			"one refused in passing", func(o []outcome) { o[block].refused = []int{3} },
			effect, "5 of 6; Block: the shop waited, orders were refused, want: the shop waited",
		},
		{
			"another policy", func(o []outcome) { o[oldest].policy = eventbus.Disconnect },
			effect, "5 of 6; Disconnect: the mailer lagged, want: the mailer was ended",
		},
		{
			"a Close that gave up", func(o []outcome) { o[block].closing = assert.AnError },
			closing, "5 of 6; Block: " + assert.AnError.Error(),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			outcomes := days(t)
			tc.harm(outcomes)
			for i, v := range judge(outcomes) {
				assert.Equal(t, i != tc.broken, v.held, "%s: %s", v.expected, v.found)
				if i == tc.broken {
					assert.Equal(t, tc.found, v.found)
				}
			}
		})
	}
}

func TestVerdicts(t *testing.T) {
	var out bytes.Buffer
	assert.False(t, verdicts(&out, []verdict{
		{true, "this", "1 of 1"},
		{false, "that", "0 of 1"},
		{false, "what needs a line of its own", "0 of 1, because of something that is too long to be told in the same line"},
	}))
	assert.Equal(t, `ok      this                                                           1 of 1
FAILED  that                                                           0 of 1
FAILED  what needs a line of its own
        0 of 1, because of something that is too long to be told in the same line
`, out.String())
	assert.True(t, verdicts(&out, nil))
}
