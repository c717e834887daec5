package bench

import (
	"errors"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func flat(nanos, allocs, bytes float64) Samples {
	return Samples{
		Nanos:  []float64{nanos, nanos * 2, nanos * 4}, // a noisy machine
		Allocs: []float64{allocs, allocs, allocs},
		Bytes:  []float64{bytes, bytes, bytes},
	}
}

func laps(p50, p90, p99 float64) Samples {
	s := flat(p90, 0, 0)
	s.P50 = flat(p50, 0, 0).Nanos
	s.P99 = flat(p99, 0, 0).Nanos
	return s
}

// madeUp is a result with a bar of every kind, met and missed.
func madeUp() Report {
	named := func(name string) Case { return Case{Name: name} }
	return Report{
		Machine:  Machine{CPU: "Some CPU", CPUs: 4, Procs: 2, Go: "go1.99", OS: "plan9/mips"},
		Command:  "go run . -rounds 3",
		Rounds:   3,
		Versions: map[string]string{"example.com/rival": "v1.2.3"},
		Results: []Result{{
			Subject: Subject{Name: "thing", Settings: []Setting{{Library: "rival", Module: "example.com/rival", Text: "as it comes."}}},
			Groups: []GroupResult{{Name: "Group", Rows: []RowResult{
				{
					Row: Row{Name: "call", Note: "A note.", Ours: named("ours"), Others: []Other{
						{Case: named("rival"), AtMost: 0.5},
						{Case: named("fast"), AtMost: 1.5, Why: "It does less."},
						{Case: named("floor"), Floor: true},
					}},
					Cases: []Samples{flat(10, 0, 0), flat(100, 2, 64), flat(5, 0, 0), flat(1, 0, 0)},
				},
				{
					Row: Row{Name: "read", Ours: named("ours"), Limit: 30, Others: []Other{{Case: named("floor"), Floor: true}}},
					// Allocates although nothing was said about that.
					Cases: []Samples{flat(10, 1, 8), flat(5, 0, 0)},
				},
				{
					Row: Row{Name: "wrapped", Ours: named("ours"), Limit: 1000, Allocs: 1, Net: true, Others: []Other{
						{Case: named("base"), Floor: true}, {Case: named("fast"), Why: "It does less."},
					}},
					Cases: []Samples{flat(900, 5, 8), flat(300, 4, 0), flat(600, 4, 0)},
				},
				{
					Row:   Row{Name: "one by one", Ours: named("ours"), Others: []Other{{Case: named("slow"), AtMost: 1}}},
					Cases: []Samples{laps(10, 20, 30), laps(100, 200, 300)},
				},
			}}},
			Memory: []MemoryResult{{
				Memory: Memory{
					Name: "one of many", Limit: 100, Ours: MemoryCase{Name: "ours"},
					Others: []MemoryCase{{Name: "small", Why: "It keeps less."}, {Name: "big"}},
				},
				Bytes: []float64{120, 60, 480},
			}},
			Tables: []TableResult{{
				Table: Table{Name: "quality", Note: "In ms.", Columns: []string{"", "p50", "p99"}},
				Rows:  [][]string{{"ours", "1", "2"}, {"rival", "3", "4"}},
			}},
		}},
	}
}

func rendered(t *testing.T, r Report) string {
	t.Helper()
	var text strings.Builder
	require.NoError(t, r.Write(&text))
	return text.String()
}

func TestReport(t *testing.T) {
	text := rendered(t, madeUp())
	for _, want := range []string{
		"    go run . -rounds 3\n",
		"Machine: Some CPU, 4 CPUs, GOMAXPROCS 2, go1.99, plan9/mips.",
		"A quick look of 3 rounds",
		"4 met, 4 missed. ",
		"| call | rival | <= 0.5 x | 0.100 (0.100 to 0.100) x | met |",
		"| call | fast | <= 1.5 x | 2 (2 to 2) x | **missed** |",
		"| read |  | <= 30 ns | 20 ns, 2 x floor | met |",
		"| read |  | <= 0 allocs | 1 allocs | **missed** |",
		"| wrapped | base | <= 1000 ns more | 1200 ns more, 3 x base | **missed** |",
		"| wrapped | base | <= 1 allocs more | 1 allocs more | met |",
		"| one by one | slow | <= 1 x | 0.100 (0.100 to 0.100) x | met |",
		"| one of many |  | <= 100 bytes | 120 bytes | **missed** |",
		"- Against **fast**: call (2 x); wrapped (1.50 x). It does less.\n",
		"- Against **small**: one of many (2 x). It keeps less.\n",
		"- **rival v1.2.3**: as it comes.",
		"**call**. A note.\n",
		"| ours | 20 |  |  | 0 | 0 |",
		"| rival | 200 | 0.100 (0.100 to 0.100) x | <= 0.5 | 64 | 2 |",
		"| ours | 1800 |  | <= 1000 ns more | 8 | 5 |",
		"|  | p50 ns | p90 ns | p99 ns | ours is | bar | B/op | allocs/op |\n|---|--:|--:|--:|--:|--:|--:|--:|\n",
		"| ours | 20 | 40 | 60 |  |  | 0 | 0 |",
		"| slow | 200 | 400 | 600 | 0.100 (0.100 to 0.100) x | <= 1 | 0 | 0 |",
		"|  | ns/op | ours is | bar | B/op | allocs/op |\n|---|--:|--:|--:|--:|--:|\n",
		"| ours | 120 |  | <= 100 |",
		"| big | 480 | 0.250 x |  |",
		"### quality\n\nIn ms.\n\n|  | p50 | p99 |\n|---|--:|--:|\n| ours | 1 | 2 |\n| rival | 3 | 4 |\n",
	} {
		assert.Contains(t, text, want)
	}
	losses := text[strings.Index(text, "Where we lose"):strings.Index(text, "How each is set up")]
	assert.NotContains(t, losses, "floor", "a yardstick is no rival")
	assert.NotContains(t, losses, "base", "nor is what we wrap")
	assert.NotContains(t, losses, "big")
}

// Nothing in a report tells when or on whose machine it was written.
func TestReportIsImpersonal(t *testing.T) {
	r := madeUp()
	r.Machine = ThisMachine()
	text := rendered(t, r)
	assert.NotRegexp(t, regexp.MustCompile(`\d{4}-\d{2}-\d{2}|\d{2}:\d{2}`), text)
	assert.NotContains(t, text, "/home")
	if host, err := os.Hostname(); err == nil && len(host) > 4 {
		assert.NotContains(t, text, host)
	}
	for _, c := range text {
		require.Less(t, c, rune(128), "ASCII only")
	}
	assert.Equal(t, text, rendered(t, r), "the same results make the same report")
}

func TestReportOfEnoughRounds(t *testing.T) {
	r := madeUp()
	r.Rounds = enoughRounds
	assert.NotContains(t, rendered(t, r), "quick look")
}

func TestReportOfNothing(t *testing.T) {
	text := rendered(t, Report{Rounds: 10, Results: []Result{{Subject: Subject{Name: "thing"}}}})
	assert.Contains(t, text, "None of these rows has one.")
	assert.Contains(t, text, "Nowhere in these rows.")
	assert.NotContains(t, text, "### Memory")
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestReportTellsOfAFailedWrite(t *testing.T) {
	assert.ErrorContains(t, madeUp().Write(brokenWriter{}), "disk full")
}

// The ratio is taken within a round, so that what slows a whole round down does
// not matter, nor does one bad round.
func TestRatioIsTakenWithinRounds(t *testing.T) {
	rr := RowResult{Row: Row{Others: []Other{{}}}, Cases: []Samples{
		{Nanos: []float64{10, 1000, 20, 90, 10}},
		{Nanos: []float64{20, 2000, 40, 20, 20}},
	}}
	assert.Equal(t, Spread{0.5, 0.5, 0.5}, rr.ratio(1))
}

func TestSpread(t *testing.T) {
	assert.Equal(t, Spread{7, 7, 7}, SpreadOf([]float64{7}))
	assert.Equal(t, Spread{2, 3, 4}, SpreadOf([]float64{5, 1, 4, 2, 3}))
	assert.Equal(t, Spread{1.25, 1.5, 1.75}, SpreadOf([]float64{2, 1}))
	assert.Equal(t, "1.50 (1.25 to 1.75)", SpreadOf([]float64{2, 1}).String())
}

func TestNumber(t *testing.T) {
	for x, want := range map[float64]string{
		0: "0", 1: "1", 14: "14", -3: "-3", 0.1234: "0.123", 0.9949: "0.995", 0.996: "1.00", 1.234: "1.23",
		9.996: "10.0", 12.34: "12.3", 99.96: "100", 123.4: "123", 12345.6: "12346", -0.5: "-0.500",
	} {
		assert.Equal(t, want, number(x), x)
	}
	assert.Equal(t, "0.06", exactly(0.06))
}

func TestMachine(t *testing.T) {
	m := ThisMachine()
	assert.NotEmpty(t, m.CPU)
	assert.Positive(t, m.CPUs)
	assert.Positive(t, m.Procs)
	assert.Contains(t, m.OS, "/")
	assert.Equal(t, "Fast CPU @ 2 GHz", cpuModel("processor\t: 0\nmodel name\t:  Fast CPU   @ 2 GHz\n"))
	assert.Empty(t, cpuModel("processor : 0\nmodel : 7\n"))
}

func TestVersions(t *testing.T) {
	assert.NotNil(t, Versions())
}
