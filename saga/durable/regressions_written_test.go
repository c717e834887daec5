package durable_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// A mumbler is a store that writes and says that it has not, after something else has
// happened.
type mumbler struct {
	*durable.MemoryStore
	then map[int]func() // by the number of the Append
	n    int
}

func (m *mumbler) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	err := m.MemoryStore.Append(ctx, at, h, ttl, events)
	m.n++
	if then := m.then[m.n]; err == nil && then != nil {
		then()
		return errStore
	}
	return err
}

// G37, G48: what was written though it was reported as failed is found, also if others have
// added something since, and is not written again.
func TestG48_WrittenAndAddedTo(t *testing.T) {
	for name, c := range map[string]struct {
		then func(t *testing.T, e *durable.Engine)
		want saga.Status
		runs []string
	}{
		"a signal": {
			func(t *testing.T, e *durable.Engine) {
				require.NoError(t, durable.Signal(bg, e, "r1", "ok", "yes"))
			}, saga.Completed, []string{"do a", "do b"},
		},
		"an abort": {
			func(t *testing.T, e *durable.Engine) { require.NoError(t, e.Abort(bg, "r1", ann)) },
			saga.Compensated,
			[]string{"do a", "do b", "undo b", "undo a"}, // as the start of b was written before
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				def := define("checkout", l.step("a"), l.step("b"), approval("ok", time.Hour))
				store := &durable.MemoryStore{}
				other := ignite(t, store, durable.Config{Lease: time.Minute}, def)
				m := &mumbler{MemoryStore: store, then: map[int]func(){1: func() { c.then(t, other) }}}
				e := ignite(t, m, durable.Config{Lease: time.Minute}, def)
				run := launch(t, e, def)
				ctx, cancel := context.WithTimeout(bg, 30*time.Minute)
				defer cancel()
				_, _ = run.Wait(ctx)
				rec := seen(t, e, "r1")
				assert.Equal(t, c.want, rec.Head.Status)
				assert.NoError(t, sagatest.CheckLaw(def.Plan(), rec))
				done := 0
				for _, event := range rec.Events {
					if event.Kind == "done" && event.Step == "a" {
						done++
					}
				}
				assert.Equal(t, 1, done, "it is not written twice")
				assert.Equal(t, c.runs, l.all())
				seal(t, e)
				seal(t, other)
			})
		})
	}
}
