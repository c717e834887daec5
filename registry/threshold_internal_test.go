package registry

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Tests of the pure core of checks: no clock, no lock, no goroutine.

// letters are outcomes, P, W and F, and healths, P, W, C and - for not judged.
var letters = map[byte]outcome{'P': passed, 'W': warned, 'F': failed}

func letter(h Health) byte {
	switch h {
	case Passing:
		return 'P'
	case Warning:
		return 'W'
	case Critical:
		return 'C'
	case Starting:
		return 'S'
	case 0:
		return '-'
	default:
		return '?'
	}
}

// G20: one row is a threshold, what the runs came to, and the health after each.
func TestThreshold(t *testing.T) {
	for name, c := range map[string]struct {
		failures, successes int
		first               Health
		outcomes, healths   string
	}{
		"the first pass is enough":                   {3, 2, Starting, "PPP", "PPP"},
		"the first warning too":                      {3, 2, Starting, "WP", "WW"},
		"a pass after failures, before judgement":    {3, 2, Starting, "FFP", "SSP"},
		"a warning after failures, before judgement": {3, 2, Starting, "FW", "SW"},
		"failures from the start":                    {3, 2, Starting, "FFFF", "SSCC"},
		"one failure is enough if it says so":        {1, 1, Starting, "FPF", "CPC"},
		"failures in a row":                          {3, 2, Starting, "PFFFF", "PPPCC"},
		"a pass breaks the row":                      {3, 2, Starting, "PFFPFFF", "PPPPPPC"},
		"a warning breaks the row":                   {3, 2, Starting, "PFFWFFF", "PPPWWWC"},
		"passes in a row":                            {2, 2, Starting, "PFFPP", "PPCCP"},
		"a failure breaks the row of passes":         {2, 2, Starting, "PFFPFPP", "PPCCCCP"},
		"after recovery the count begins anew":       {2, 2, Starting, "FFPPFPF", "SCCPPPP"},
		"warnings end Critical too":                  {2, 2, Starting, "FFWW", "SCCW"},
		"the last of them says what comes":           {2, 2, Starting, "FFWP", "SCCP"},
		"a pass, then a warning":                     {2, 2, Starting, "FFPW", "SCCW"},
		"a warning at once":                          {2, 2, Starting, "PW", "PW"},
		"Passing again after as many passes":         {2, 3, Starting, "WPPP", "WWWP"},
		"a warning breaks the row of passes":         {2, 2, Starting, "WPWPP", "WWWWP"},
		"failures while Warning":                     {2, 2, Starting, "WFPFF", "WWWWC"},
		"a failure breaks the way back from Warning": {3, 2, Starting, "WPFPP", "WWWWP"},
		"who was not judged stays so":                {2, 2, 0, "FF", "-C"},
		"and passes with the first pass":             {2, 2, 0, "FP", "-P"},
		"and warns with the first warning":           {2, 2, 0, "W", "W"},
	} {
		t.Run(name, func(t *testing.T) {
			th := threshold{failures: c.failures, successes: c.successes, health: c.first}
			var got []byte
			for i := range len(c.outcomes) {
				got = append(got, letter(th.next(letters[c.outcomes[i]])))
			}
			assert.Equal(t, c.healths, string(got))
		})
	}
}

// Other settings count from the next outcome on, and what was in a row before
// counts with it.
func TestThresholdSettingsChange(t *testing.T) {
	th := threshold{failures: 5, successes: 2, health: Passing}
	th.next(failed)
	th.next(failed)
	th.failures = 3
	assert.Equal(t, Passing, th.health, "settings alone change nothing")
	assert.Equal(t, Critical, th.next(failed))
	th.successes = 3
	th.next(passed)
	th.next(passed)
	th.successes = 1
	assert.Equal(t, Critical, th.health)
	assert.Equal(t, Passing, th.next(passed))
}

// A history is the naive model: it keeps every outcome and looks back.
type history struct {
	failures, successes int
	health              Health
	all                 []outcome
}

// inARow is how many of the latest outcomes are of some kind.
func (h *history) inARow(kind func(outcome) bool) int {
	n := 0
	for i := len(h.all) - 1; i >= 0 && kind(h.all[i]); i-- {
		n++
	}
	return n
}

func (h *history) next(o outcome) Health {
	h.all = append(h.all, o)
	fails := h.inARow(func(o outcome) bool { return o == failed })
	goods := h.inARow(func(o outcome) bool { return o != failed })
	passes := h.inARow(func(o outcome) bool { return o == passed })
	judged := h.health == Passing || h.health == Warning || h.health == Critical
	switch {
	case fails >= h.failures:
		h.health = Critical
	case o == failed:
	case h.health == Critical && goods < h.successes:
	case o == warned:
		h.health = Warning
	case h.health == Warning && passes < h.successes:
	case o == passed || !judged:
		h.health = Passing
	}
	return h.health
}

// FuzzThreshold compares the core, which keeps three numbers, with the model,
// which keeps everything.
func FuzzThreshold(f *testing.F) {
	f.Add(uint8(2), uint8(1), false, []byte{2, 2, 0, 2, 2, 2, 0, 0})
	f.Add(uint8(0), uint8(0), true, []byte{1, 0, 1, 2, 0})
	f.Add(uint8(1), uint8(2), false, []byte{1, 0, 2, 0, 0, 0, 1, 1, 2, 2, 1, 1, 1})
	f.Add(uint8(4), uint8(4), true, []byte{2, 2, 2, 2, 2, 0, 1, 0, 1, 0, 2, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, failures, successes uint8, known bool, steps []byte) {
		first := Starting
		if known {
			first = 0
		}
		// Counts go up to five, so that random rows are long enough for them.
		th := threshold{failures: int(failures%5) + 1, successes: int(successes%5) + 1, health: first}
		model := history{failures: th.failures, successes: th.successes, health: first}
		for i, b := range steps[:min(len(steps), 1000)] {
			if b >= 250 { // the settings are replaced now and then
				th.failures, th.successes = int(b-250)%5+1, int(b)%5+1
				model.failures, model.successes = th.failures, th.successes
				continue
			}
			o := outcome(b % 3)
			require.Equal(t, model.next(o), th.next(o), "after outcome %d of %v", i, model.all)
		}
	})
}
