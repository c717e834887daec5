package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTell(t *testing.T) {
	o := goodOutcome(t)
	o.took = 1234 * time.Millisecond
	var out bytes.Buffer
	tell(&out, o)
	assert.Equal(t, `worker 1  was killed, after 7 moments
worker 2  has brought every run to its end, after 1 moment

orders  run          why                                which
     2  completed                                       order-02 order-03
     1  compensated  charge: 402 card declined          order-19
     1  compensated  reserve: EOF                       order-04

service       requests  faults  booked  again  refused  reversed  too late
reservations         1       1       1      1        0         0        0
charges              0       0       0      0        0         0        0
labels               0       0       0      0        0         0        0
invoices             0       0       0      0        0         0        0
parcels              0       0       0      0        0         0        0
mails                0       0       0      0        0         0        0

booked: effects          again: the same action or compensation once more, which changed nothing
reversed: undone         too late: actions that came after they had been undone

The worker was killed 1 time, in the middle of 1 attempt of 22; the services recognised
1 thing that had been done before. It took 1.23s.

`, out.String())
}

// A long table is cut, in breadth and in length.
func TestEndings_many(t *testing.T) {
	var runs []ending
	for i := range 100 {
		runs = append(runs, ending{Order: fmt.Sprintf("order-%03d", i), Status: "completed"})
	}
	runs = append(runs, ending{Order: "x\ty\u00e9" + strings.Repeat("z", 100), Status: "stuck", Reason: "undo failed", Step: "ship", Why: "no\nreason"})
	var out bytes.Buffer
	endings(&out, runs)
	all := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	require.Len(t, all, 6)
	assert.Equal(t, "     1  stuck, undo failed  ship: no reason                    x y?"+strings.Repeat("z", width-70)+"...", all[1])
	assert.Equal(t, "   100  completed                                       order-000 order-001 order-002 order-003", all[2])
	assert.Equal(t, strings.Repeat(" ", 56)+"order-012 order-013 order-014 order-015 ...", all[5])
	for _, line := range all {
		assert.LessOrEqual(t, len(line), width, line)
	}
}

func TestLines(t *testing.T) {
	assert.Equal(t, []string{"a b", "c"}, lines([]string{"a", "b", "c"}, 4))
	assert.Equal(t, []string{"a b c"}, lines([]string{"a", "b", "c"}, 5))
	assert.Equal(t, []string{"longer", "a"}, lines([]string{"longer", "a"}, 3))
	assert.Equal(t, []string{"a", "b", "c", "d"}, lines([]string{"a", "b", "c", "d"}, 1))
	assert.Equal(t, []string{"a", "b", "c", "d ..."}, lines([]string{"a", "b", "c", "d", "e"}, 1))
}

func TestDraw_nothing(t *testing.T) {
	var out bytes.Buffer
	require.NoError(t, draw(&out, &report{}, options{mermaid: "no/such/file"}))
	assert.Equal(t, "No run was compensated, so there is nothing to draw.\n\n", out.String())
}
