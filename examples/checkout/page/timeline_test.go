package page

import (
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

const sec = time.Second

// drawn is what of a bar can be seen.
type drawn struct{ Kind, Label, X, Width string }

func TestTimeline(t *testing.T) {
	for name, tt := range map[string]struct {
		spans   []Span
		now     time.Duration
		want    []drawn // the longest first
		summary string
	}{
		"nothing": {nil, 10 * sec, nil, "nothing is known of the last 60 s"},
		"younger than the window: the rest stays empty": {
			[]Span{{"closed", 0}},
			15 * sec,
			[]drawn{{"closed", "", "75.00%", "25.00%"}},
			"now closed; of the last 60 s: closed 15.0 s",
		},
		"older than the window": {
			[]Span{{"closed", 0}, {"open", 90 * sec}},
			120 * sec,
			[]drawn{{"closed", "", "0.00%", "50.00%"}, {"open", "open", "50.00%", "50.00%"}},
			"now open; of the last 60 s: closed 30.0 s, open 30.0 s",
		},
		"over before the window, to the nanosecond": {
			[]Span{{"open", 0}, {"closed", 60 * sec}},
			120 * sec,
			[]drawn{{"closed", "", "0.00%", "100.00%"}},
			"now closed; of the last 60 s: closed 60.0 s",
		},
		"a state that comes back counts together": {
			[]Span{{"open", 0}, {"half-open", 20 * sec}, {"open", 30 * sec}},
			60 * sec,
			[]drawn{{"open", "open", "50.00%", "50.00%"}, {"open", "open", "0.00%", "33.33%"}, {"half", "", "33.33%", "16.67%"}},
			"now open; of the last 60 s: open 50.0 s, half-open 10.0 s",
		},
		"what is short is seen, and lies above": {
			[]Span{{"closed", 0}, {"half-open", 30 * sec}, {"open", 30*sec + 6*time.Millisecond}},
			60 * sec,
			[]drawn{{"closed", "", "0.00%", "50.00%"}, {"open", "open", "50.01%", "49.99%"}, {"half", "", "50.00%", "0.50%"}},
			"now open; of the last 60 s: closed 30.0 s, half-open 0.0 s, open 30.0 s",
		},
		"begun just now: seen at the edge": {
			[]Span{{"closed", 0}, {"open", 60 * sec}},
			60 * sec,
			[]drawn{{"closed", "", "0.00%", "100.00%"}, {"open", "", "99.50%", "0.50%"}},
			"now open; of the last 60 s: closed 60.0 s, open 0.0 s",
		},
		"without a length: not seen": {
			[]Span{{"closed", 0}, {"half-open", 30 * sec}, {"open", 30 * sec}},
			60 * sec,
			[]drawn{{"closed", "", "0.00%", "50.00%"}, {"open", "open", "50.00%", "50.00%"}},
			"now open; of the last 60 s: closed 30.0 s, open 30.0 s",
		},
		"neighbours in one state are one": {
			[]Span{{"open", 0}, {"open", 20 * sec}, {"open", 40 * sec}},
			60 * sec,
			[]drawn{{"open", "open", "0.00%", "100.00%"}},
			"now open; of the last 60 s: open 60.0 s",
		},
		"backwards, before the start and in the future": {
			[]Span{{"closed", math.MinInt64}, {"open", 30 * sec}, {"half-open", 20 * sec}, {"closed", math.MaxInt64}},
			60 * sec,
			[]drawn{{"closed", "", "0.00%", "50.00%"}, {"half", "half-open", "50.00%", "50.00%"}, {"closed", "", "99.50%", "0.50%"}},
			"now closed; of the last 60 s: closed 30.0 s, half-open 30.0 s",
		},
		"other states": {
			[]Span{{"forced-open", 0}, {"recovering", 20 * sec}, {"<odd>", 40 * sec}},
			60 * sec,
			[]drawn{{"open", "forced-open", "0.00%", "33.33%"}, {"half", "recovering", "33.33%", "33.33%"}, {"other", "<odd>", "66.67%", "33.33%"}},
			"now <odd>; of the last 60 s: forced-open 20.0 s, recovering 20.0 s, <odd> 20.0 s",
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := timeline(tt.spans, tt.now)
			var got []drawn
			for _, b := range l.Bars {
				got = append(got, drawn{b.Kind, b.Label, b.X(), b.Width()})
			}
			assert.Equal(t, tt.want, got)
			assert.Equal(t, tt.summary, l.Summary)
		})
	}
}

// A label is there as soon as it fits into a line of 340 pixels.
func TestTimeline_label(t *testing.T) {
	for wide, want := range map[time.Duration]string{6500 * time.Millisecond: "", 6600 * time.Millisecond: "open"} {
		l := timeline([]Span{{"open", 60*sec - wide}}, 60*sec)
		assert.Equal(t, want, l.Bars[0].Label, wide)
	}
}

func TestKind(t *testing.T) {
	for state, want := range map[string]string{
		"closed": "closed", "forced-closed": "closed", "open": "open", "forced-open": "open",
		"half-open": "half", "recovering": "half", "": "other", "Open": "other",
	} {
		assert.Equal(t, want, kind(state), state)
	}
}
