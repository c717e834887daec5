package page

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestClean(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "",
		"stock-1":                      "stock-1",
		"<b>":                          "<b>", // escaping is up to the template
		"a\x00b\nc":                    "a\ufffdb\ufffdc",
		"a\u2028b\u202ec":              "a\ufffdb\ufffdc",
		"\xff\xfe":                     "\ufffd\ufffd",
		"12345678":                     "12345678",
		"123456789":                    "12345678...",
		strings.Repeat("\u00e9", 9):    strings.Repeat("\u00e9", 8) + "...",
		strings.Repeat("x", 1024*1024): "xxxxxxxx...",
	} {
		assert.Equal(t, want, clean(in, 8), "%.20q", in)
	}
}

func TestFormName(t *testing.T) {
	for _, id := range []string{"payment-1", "a b", "<b>&\"'", "\u00e9", strings.Repeat("x", 128), ""} {
		assert.Equal(t, id, formName(id))
	}
	seen := make(map[string]string)
	for _, id := range []string{
		"a\nb", "a\rb", "\xff", "\xfe", "\ufffd\x00", strings.Repeat("x", 129), "sha256:", formName("\xff"), "\u202e",
	} {
		name := formName(id)
		assert.Regexp(t, `^sha256:[0-9a-f]{64}$`, name)
		assert.NotContains(t, seen, name)
		seen[name] = id
	}
}

func TestNumber(t *testing.T) {
	for n, want := range map[uint64]string{
		0: "0", 7: "7", 9999: "9999", 10_000: "10.0k", 12_345: "12.3k", 99_949: "99.9k", 99_950: "100k",
		999_499: "999k", 999_500: "1.0M", 1_000_000: "1.0M", 99_950_000: "100M", 999_500_000: "1.0G",
		999_000_000_000: "999G", 999_500_000_000: "1.0T", 1 << 50: "1.1P", math.MaxUint64: "18.4E",
	} {
		assert.Equal(t, want, number(n), n)
	}
	assert.Equal(t, "0", whole(-1))
	assert.Equal(t, "0", whole(math.MinInt))
	assert.Equal(t, "12", whole(12))
}

func TestPercent(t *testing.T) {
	for f, want := range map[float64][2]string{
		0: {"0 %", "0.00%"}, -1: {"0 %", "0.00%"}, math.Inf(-1): {"0 %", "0.00%"},
		0.0001: {"<1 %", "0.01%"}, 0.01: {"1 %", "1.00%"}, 0.335: {"34 %", "33.50%"}, 0.5: {"50 %", "50.00%"},
		0.9999: {"99 %", "99.99%"}, 1: {"100 %", "100.00%"}, 1.5: {"100 %", "100.00%"}, math.Inf(1): {"100 %", "100.00%"},
	} {
		assert.Equal(t, want[0], percent(f), f)
		assert.Equal(t, want[1], width(f), f)
	}
	assert.Equal(t, "0 %", percent(math.NaN()))
	assert.Equal(t, "0.00%", width(math.NaN()))
}

func TestTimes(t *testing.T) {
	for d, want := range map[time.Duration][3]string{
		-time.Second:             {"0:00", "0:00.0", "0 s"},
		math.MinInt64:            {"0:00", "0:00.0", "0 s"},
		0:                        {"0:00", "0:00.0", "0 s"},
		1999 * time.Millisecond:  {"0:01", "0:01.9", "1 s"},
		time.Minute:              {"1:00", "1:00.0", "1 min 0 s"},
		83 * time.Second:         {"1:23", "1:23.0", "1 min 23 s"},
		100*time.Minute + 5*sec:  {"100:05", "100:05.0", "100 min 5 s"},
		59*sec + 999*sec/1000:    {"0:59", "0:59.9", "59 s"},
		60*sec - time.Nanosecond: {"0:59", "0:59.9", "59 s"},
	} {
		assert.Equal(t, want, [3]string{watch(d), moment(d), age(d)}, d)
	}
}

func TestKinds(t *testing.T) {
	for health, want := range map[string]string{
		"passing": "good", "warning": "fair", "starting": "fair", "draining": "fair", "stale": "fair",
		"critical": "bad", "down": "bad", "gone": "bad", "": "other", "well": "other",
	} {
		assert.Equal(t, want, healthKind(health), health)
	}
	for _, s := range []string{"running", "waiting", "compensating", "stuck"} {
		assert.Equal(t, s, runKind(s))
	}
	assert.Equal(t, "other", runKind("<b>"))
	for _, s := range []StepState{Pending, Active, Retrying, Done, Failed, Undoing, Undone} {
		assert.Equal(t, string(s), stepKind(s))
	}
	assert.Equal(t, "pending", stepKind("<b>"))
}
