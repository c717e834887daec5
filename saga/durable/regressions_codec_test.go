package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// illiterate is a codec that cannot decode what is not zero.
type illiterate struct{}

func (illiterate) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (illiterate) Unmarshal(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return err
	}
	if o, ok := v.(*order); ok && len(o.Log) > 0 {
		return errors.New("what is this?")
	}
	return nil
}

// text is a codec of texts of which the empty one has no bytes, as the zero message has
// none in protobuf.
type text struct{ nothing []byte }

func (c text) Marshal(v any) ([]byte, error) {
	if s, ok := v.(*string); ok && *s != "" {
		return []byte(*s), nil
	}
	return c.nothing, nil
}

func (text) Unmarshal(data []byte, v any) error {
	*v.(*string) = string(data)
	return nil
}

// G11, G32: a state whose encoding has no bytes is a state: it takes the place of the one
// before it, for steps after a wait, for Wait and for State.
func TestG32_StateOfNoBytes(t *testing.T) {
	for name, nothing := range map[string][]byte{"nil": nil, "empty": {}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var saw []string
				def := saga.MustNewWith(saga.Spec[string]{Name: "checkout", Codec: text{nothing}, Steps: []saga.Step[string]{
					{Name: "a", Do: func(_ context.Context, s *string) error { *s = ""; return nil }},
					saga.Sleep(saga.Step[string]{Name: "s"}, time.Minute),
					{Name: "b", Do: func(_ context.Context, s *string) error { saw = append(saw, *s); return nil }},
				}})
				e, err := durable.Open(&durable.MemoryStore{}, durable.Config{})
				require.NoError(t, err)
				require.NoError(t, durable.Register(e, def))
				run, err := durable.Start(bg, e, def, "r1", "old")
				require.NoError(t, err)
				end, err := run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, []string{""}, saw)
				assert.Empty(t, end)
				end, _, err = run.State(bg)
				require.NoError(t, err)
				assert.Empty(t, end)
				seal(t, e)
			})
		})
	}
}

// G13, G32: nor is that of a child lost when the group waits, and is merged anew.
func TestG13_ChildOfNoBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		def := saga.MustNewWith(saga.Spec[string]{Name: "checkout", Codec: text{}, Steps: []saga.Step[string]{{Name: "g", Parallel: []saga.Step[string]{
			{Name: "x", Do: func(_ context.Context, s *string) error { *s = ""; return nil }, Merge: func(dst, src *string) { *dst = *src }},
			{Name: "y", Retry: everySecond, Merge: saga.NoMerge[string], Do: func(context.Context, *string) error {
				if tries++; tries == 1 {
					return errLost
				}
				return nil
			}},
		}}}})
		e, err := durable.Open(&durable.MemoryStore{}, durable.Config{})
		require.NoError(t, err)
		require.NoError(t, durable.Register(e, def))
		run, err := durable.Start(bg, e, def, "r1", "old")
		require.NoError(t, err)
		end, err := run.Wait(bg)
		require.NoError(t, err)
		assert.Empty(t, end)
		assert.Equal(t, 2, tries)
		seal(t, e)
	})
}

// touchy is a codec in which something is done ahead of everything else.
type touchy struct{ encode, decode func() }

func (c touchy) Marshal(v any) ([]byte, error) {
	c.encode()
	return json.Marshal(v)
}

func (c touchy) Unmarshal(data []byte, v any) error {
	c.decode()
	return json.Unmarshal(data, v)
}

// shocks are what a codec does instead of its work.
func shocks() map[string]func() {
	return map[string]func(){"panic": func() { panic("codec") }, "exit": runtime.Goexit}
}

// G18, G28, G29, G44: a state on which the codec panics, or exits, counts as one that
// cannot be encoded: its step is unknown and has failed, and the engine lives on.
func TestG28_PanicOfMarshal(t *testing.T) {
	for name, shock := range shocks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				bad, undone := false, false
				codec := touchy{decode: func() {}, encode: func() {
					if bad {
						shock()
					}
				}}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Codec: codec, Steps: []saga.Step[order]{{
					Name: "a",
					Do:   func(_ context.Context, o *order) error { o.N, bad = 7, true; return nil },
					Undo: func(context.Context, *order) error { bad, undone = false, true; return nil },
				}}})
				e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
				_, err := launch(t, e, def).Wait(bg)
				var panicked *saga.PanicError
				require.ErrorAs(t, err, &panicked)
				assert.Equal(t, name == "exit", panicked.Goexit)
				assert.True(t, undone)
				assert.Equal(t, saga.Compensated, seen(t, e, "r1").Head.Status)
				seal(t, e)
			})
		})
	}
}

// G28, G38: a recorded state on which the codec panics makes its run stuck, until the
// codec is mended, and the engine lives on.
func TestG38_PanicOfUnmarshal(t *testing.T) {
	for name, shock := range shocks() {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var bad atomic.Bool
				codec := touchy{encode: func() {}, decode: func() {
					if bad.Load() {
						shock()
					}
				}}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Codec: codec, Steps: []saga.Step[order]{
					say("a"), saga.Sleep(saga.Step[order]{Name: "s"}, time.Minute), say("b"),
				}})
				e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
				run := launch(t, e, def)
				time.Sleep(time.Second)
				bad.Store(true)
				time.Sleep(2 * time.Minute)
				h := seen(t, e, "r1").Head
				require.Equal(t, saga.Stuck, h.Status)
				assert.Equal(t, saga.ReasonJournalUnreadable, h.Reason)
				bad.Store(false)
				require.NoError(t, e.Resume(bg, "r1", ann))
				end, err := run.Wait(bg)
				require.NoError(t, err)
				assert.Equal(t, []string{"do a", "do b"}, end.Log)
				seal(t, e)
			})
		})
	}
}
