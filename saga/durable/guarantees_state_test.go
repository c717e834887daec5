package durable_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

var errCodec = errors.New("it has no code")

// A picky codec refuses what has a bad word in its log.
type picky struct{ zero bool }

func (c picky) Marshal(v any) ([]byte, error) {
	o, ok := v.(*order)
	if c.zero && ok && len(o.Log) == 0 && o.N == 0 {
		return nil, errCodec
	}
	if ok && strings.Contains(strings.Join(o.Log, " "), "bad") {
		return nil, errCodec
	}
	return json.Marshal(v)
}

func (picky) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// writes is an action that adds words to the log.
func (l *ledger) writes(what string, err error, words ...string) func(context.Context, *order) error {
	return func(_ context.Context, o *order) error {
		l.add("%s", what)
		o.Log = append(o.Log, words...)
		return err
	}
}

// G44: a state that cannot be encoded, or is too large, makes its step unknown and
// failed; of an Undo it is lost, and the step is undone.
func TestG44_State(t *testing.T) {
	huge := strings.Repeat("x", 1000)
	tests := map[string]struct {
		b, undoA []string // what they write
		says     error
		calls    []string
		log      []string
	}{
		"all is well":                     {[]string{"b"}, []string{"-a"}, errRefused, []string{"do a", "do b", "undo a"}, []string{"a", "b", "-a"}},
		"no code":                         {[]string{"bad"}, []string{"-a"}, nil, []string{"do a", "do b", "undo b", "undo a"}, []string{"-a"}},
		"no code after a failure":         {[]string{"bad"}, []string{"-a"}, errRefused, []string{"do a", "do b", "undo a"}, nil},
		"too large":                       {[]string{huge}, []string{"-a"}, nil, []string{"do a", "do b", "undo b", "undo a"}, nil},
		"no code when it is undone":       {[]string{"b"}, []string{"bad"}, errRefused, []string{"do a", "do b", "undo a"}, []string{"a", "b"}},
		"too large when it is undone":     {[]string{"b"}, []string{huge}, errRefused, []string{"do a", "do b", "undo a"}, []string{"a", "b"}},
		"as large as it may be":           {[]string{huge[:len(huge)-22]}, []string{"-a"}, nil, []string{"do a", "do b"}, []string{"a", huge[:len(huge)-22]}},
		"larger by a byte than it may be": {[]string{huge[:len(huge)-21]}, []string{"-a"}, nil, []string{"do a", "do b", "undo b", "undo a"}, nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := &ledger{}
				def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Clone: wound, Codec: picky{}, Steps: []saga.Step[order]{
					{Name: "a", Do: l.writes("do a", nil, "a"), Undo: l.writes("undo a", nil, tt.undoA...)},
					{Name: "b", Do: l.writes("do b", tt.says, tt.b...), Undo: l.writes("undo b", nil)},
				}})
				e := ignite(t, &durable.MemoryStore{}, durable.Config{MaxState: 1000}, def)
				o, err := launch(t, e, def).Wait(t.Context())
				assert.Equal(t, tt.calls, l.all())
				if tt.log != nil && tt.b[0] != "bad" {
					assert.Equal(t, tt.log, o.Log)
				}
				if len(tt.calls) == 2 {
					require.NoError(t, err)
					seal(t, e)
					return
				}
				var failed *saga.Error
				require.ErrorAs(t, err, &failed)
				assert.Equal(t, saga.Compensated, failed.Status)
				assert.Equal(t, "b", failed.Step)
				if tt.says == nil {
					assert.Equal(t, saga.Unknown, failed.Outcome)
					assert.NotContains(t, err.Error(), huge[:100])
				}
				seal(t, e)
			})
		})
	}
}

// G44: what cannot be encoded is refused before anything happens.
func TestG44_Refused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		steps := []saga.Step[order]{l.step("a")}
		store := &spy{MemoryStore: &durable.MemoryStore{}}
		e, err := durable.Open(store, durable.Config{MaxState: 100})
		require.NoError(t, err)
		require.ErrorIs(t, durable.Register(e, saga.MustNewWith(saga.Spec[order]{Name: "zero", Steps: steps, Codec: picky{zero: true}})), errCodec)
		sub := saga.MustNewWith(saga.Spec[order]{Name: "zero", Steps: steps, Codec: picky{zero: true}})
		require.ErrorIs(t, durable.Register(e, saga.MustNew("outer", []saga.Step[order]{within("in", sub)})), errCodec)
		def := saga.MustNewWith(saga.Spec[order]{Name: "checkout", Steps: steps, Codec: picky{}})
		require.NoError(t, durable.Register(e, def))
		_, err = durable.Start(t.Context(), e, def, "r1", order{Log: []string{"bad"}})
		require.ErrorIs(t, err, errCodec)
		_, err = durable.Start(t.Context(), e, def, "r1", order{Log: []string{strings.Repeat("x", 100)}})
		require.ErrorContains(t, err, "MaxState")
		time.Sleep(time.Minute)
		assert.Zero(t, store.writes)
		assert.Empty(t, l.all())
		seal(t, e)
	})
}

// G44: a state within that cannot be encoded fails its step, and nothing of it is done.
func TestG44_StateWithin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		sub := saga.MustNewWith(saga.Spec[order]{Name: "in", Steps: []saga.Step[order]{l.step("x")}, Codec: picky{}})
		def := saga.MustNew("checkout", []saga.Step[order]{
			l.step("a"),
			saga.Sub(saga.Step[order]{Name: "in"}, sub, func(*order) order { return order{Log: []string{"bad"}} }, nil),
		})
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.ErrorIs(t, err, errCodec)
		assert.Equal(t, []string{"do a", "undo a"}, l.all())
		seal(t, e)
	})
}

// G44: states are written when they have changed, and only then.
func TestG44_StatesThatDoNotChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &ledger{}
		quiet := func(name string) saga.Step[order] {
			return saga.Step[order]{Name: name, Do: l.writes("do "+name, nil)}
		}
		def := saga.MustNewWith(spec(quiet("a"), saga.Step[order]{Name: "b", Do: l.writes("do b", nil, "b")}, quiet("c")))
		e := ignite(t, &durable.MemoryStore{}, durable.Config{}, def)
		_, err := launch(t, e, def).Wait(t.Context())
		require.NoError(t, err)
		var with []string
		for _, event := range seen(t, e, "r1").Events {
			if len(event.Data) > 0 {
				with = append(with, strings.TrimSpace(event.Kind+" "+event.Step))
			}
		}
		assert.Equal(t, []string{"created", "done b"}, with)
		seal(t, e)
	})
}
