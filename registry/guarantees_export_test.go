package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// exported is what Export writes.
func exported(tb testing.TB, r *registry.Registry) string {
	tb.Helper()
	var b bytes.Buffer
	require.NoError(tb, r.Export(&b))
	return b.String()
}

// document is one that Import reads, with these records.
func document(records ...string) string {
	return `{"version":1,"instances":[` + strings.Join(records, ",") + `]}`
}

// imports reads a document.
func imports(r *registry.Registry, doc string) (int, error) {
	return r.Import(bg, strings.NewReader(doc), 0)
}

// imported imports instances, all of which have to be taken.
func imported(tb testing.TB, r *registry.Registry, ins ...registry.Instance) {
	tb.Helper()
	from := newRegistry(tb, registry.Config{})
	for _, in := range ins {
		register(tb, from, in)
	}
	n, err := imports(r, exported(tb, from))
	require.NoError(tb, err)
	require.Equal(tb, len(ins), n)
}

const goodRecord = `{"service":"orders","id":"good","addr":"10.0.0.1:80","weight":100,"health":"passing"}`

// Every record is written, of whatever origin and health, without TTL, Check and
// Attrs, and comes back as it was.
func TestG42_RoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{})
		assert.Equal(t, "{\"version\":1,\"instances\":[\n]}\n", exported(t, r))
		rich := registry.Instance{
			ID: "rich/\u00fc \"<&>\u2028", Service: "orders", Addr: "[2001:db8::1]:443", Scheme: "https", ServerName: "orders.example.com",
			Version: "1.2.3", Zone: "z1", Weight: -1, Tags: []string{"", "a"}, Meta: map[string]string{"": "x", "k": "\U0001f600"},
		}
		want := rich
		rich.TTL = time.Minute
		rich.Attrs = []registry.Attr{registry.NewKey[int]("n").Value(1)}
		rich.Check.Func = func(context.Context, registry.Instance) error { return nil }
		register(t, r, rich)
		for h := registry.Passing; h <= registry.Down; h++ {
			if h != registry.Stale {
				require.NoError(t, register(t, r, instanceOf("healths", h.String())).SetHealth(h, "reason"))
			}
		}
		src, _ := fed(t, r, "dns")
		require.NoError(t, src.send(registry.Batch{Put: []registry.Record{{Instance: instanceOf("fed", "f"), Health: registry.Warning}}}))
		imported(t, r, instanceOf("imported", "i"))
		synctest.Wait()

		doc := exported(t, r)
		to := newRegistry(t, registry.Config{})
		n, err := imports(to, doc)
		require.NoError(t, err)
		assert.Equal(t, r.Stats().Instances, n)
		assert.JSONEq(t, doc, exported(t, to))
		e, ok := to.Service("orders").Get(rich.ID)
		require.True(t, ok)
		assert.Equal(t, "import", e.Origin())
		want.TTL = 5 * time.Minute
		assert.Equal(t, want, e.Instance())
		for e := range to.Service("healths").Snapshot().All() {
			assert.Equal(t, e.ID(), e.Health().String())
		}
	})
}

// The health that is written is not what only this registry can judge.
func TestG42_ExportIsNeverStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRegistry(t, registry.Config{Preserve: registry.Preserve{MinInstances: -1, MaxEvict: 0.25}})
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, numbered(4, 10*time.Second)...)
		require.NoError(t, err)
		time.Sleep(10 * time.Second)
		require.Len(t, withHealth(r.Service("orders"), registry.Stale), 3)
		assert.Equal(t, 3, strings.Count(exported(t, r), `"health":"passing"`))
	})
}

// Nothing expired is written, even if no timer has run.
func TestG42_ExportOmitsExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clk := newHandClock()
		r := newRegistry(t, registry.Config{Clock: clk})
		register(t, r, leased("a", 10*time.Second))
		register(t, r, leased("b", time.Minute))
		clk.sleep(10 * time.Second)
		doc := exported(t, r)
		assert.NotContains(t, doc, `"a"`)
		assert.Contains(t, doc, `"b"`)
	})
}

// What is written of one service is of one instant, whoever changes it meanwhile.
func TestG42_ExportIsConsistent(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	set := func(version string) {
		ins := numbered(20, -1)
		for i := range ins {
			ins[i].Version = version
		}
		_, err := r.RegisterWith(bg, registry.RegisterConfig{}, ins...)
		assert.NoError(t, err)
	}
	set("0")
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				set(fmt.Sprint(i))
			}
		}
	}()
	for range 50 {
		var doc struct{ Instances []struct{ Version string } }
		require.NoError(t, json.Unmarshal([]byte(exported(t, r)), &doc))
		require.Len(t, doc.Instances, 20)
		for _, in := range doc.Instances {
			require.Equal(t, doc.Instances[0].Version, in.Version)
		}
	}
	close(stop)
	<-done
}

// Each imported record holds for the TTL, unless it is imported again.
func TestG42_ImportTTL(t *testing.T) {
	bubbles(t, map[string]struct{ ttl, lasts time.Duration }{
		"default": {0, 5 * time.Minute},
		"given":   {time.Second, time.Second},
		"none":    {-1, 0},
		"no more": {-time.Hour, 0},
	}, func(t *testing.T, c struct{ ttl, lasts time.Duration }) {
		r := newRegistry(t, registry.Config{TTL: time.Millisecond})
		once := func() {
			n, err := r.Import(bg, strings.NewReader(document(goodRecord)), c.ttl)
			require.NoError(t, err)
			require.Equal(t, 1, n)
		}
		once()
		if c.lasts == 0 {
			time.Sleep(24 * time.Hour)
			assert.Equal(t, []string{"good import"}, origins(r))
			return
		}
		time.Sleep(c.lasts - time.Nanosecond)
		index := r.Stats().Index
		once()
		assert.Equal(t, index, r.Stats().Index)
		time.Sleep(c.lasts - time.Nanosecond)
		assert.Equal(t, []string{"good import"}, origins(r))
		time.Sleep(time.Nanosecond)
		assert.Empty(t, origins(r))
	})
}

// Import is below everything else: what is known is left alone, and whoever knows
// better takes the place, for good.
func TestG42_ImportIsBelow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var j journal
		r := newRegistry(t, registry.Config{Hooks: j.hooks()})
		src, f := fed(t, r, "dns")
		l := register(t, r, at("local", "10.0.0.1:80"))
		require.NoError(t, src.reset(at("fed", "10.0.0.1:80")))
		j.take()
		n, err := imports(r, document(
			`{"service":"orders","id":"local","addr":"10.0.0.2:80","weight":1,"health":"down"}`,
			`{"service":"orders","id":"fed","addr":"10.0.0.2:80","weight":1,"health":"down"}`,
			`{"service":"orders","id":"later local","addr":"10.0.0.2:80","weight":1,"health":"warning"}`,
			`{"service":"orders","id":"later fed","addr":"10.0.0.2:80","weight":1,"health":"warning"}`,
			`{"service":"orders","id":"nobody's","addr":"10.0.0.2:80","weight":1,"health":"warning"}`,
		))
		require.NoError(t, err)
		assert.Equal(t, 3, n, "what is known already is not taken")
		assert.Equal(t, []string{"registered later local", "registered later fed", "registered nobody's"}, j.told())
		later := register(t, r, at("later local", "10.0.0.1:80"))
		require.NoError(t, src.put(at("later fed", "10.0.0.1:80")))
		assert.Equal(t, []string{"updated later local", "updated later fed"}, j.told())
		assert.Equal(t, []string{"fed dns", "later fed dns", "later local", "local", "nobody's import"}, origins(r))
		assert.Equal(t, []string{"nobody's"}, withHealth(r.Service("orders"), registry.Warning))

		require.NoError(t, later.Deregister())
		require.NoError(t, l.Deregister())
		f.over(t, errors.New("enough"))
		assert.Equal(t, []string{"nobody's import"}, origins(r), "the imported ones do not come back")
		assert.False(t, r.Service("orders").Snapshot().Disconnected())
	})
}

// Authorize is asked about every record that is good by itself, and refuses it
// alone.
func TestG42_Authorize(t *testing.T) {
	var asked []string
	r := newRegistry(t, registry.Config{Authorize: func(_ context.Context, op registry.Op, in registry.Instance) error {
		asked = append(asked, string(op)+" "+in.Service+" "+in.ID)
		if in.ID != "good" {
			return errForbidden
		}
		return nil
	}})
	n, err := imports(r, document(`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":100,"health":"passing"}`, goodRecord))
	require.ErrorIs(t, err, errForbidden)
	require.ErrorContains(t, err, `import "orders" "bad"`)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{"good import"}, origins(r))
	assert.Equal(t, []string{"import orders bad", "import orders good"}, asked)
}

// A writer that fails, and a reader that does, are told.
func TestG42_BrokenStreams(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for i := range 3 {
		register(t, r, instanceOf("s", fmt.Sprint(i)))
	}
	doc := exported(t, r)
	for n := range len(doc) {
		require.ErrorIs(t, r.Export(&shortWriter{left: n}), io.ErrShortWrite, n)
	}
	_, err := r.Import(bg, iotest.ErrReader(errAway), 0)
	require.ErrorIs(t, err, errAway)
	to := newRegistry(t, registry.Config{})
	n, err := to.Import(bg, iotest.OneByteReader(strings.NewReader(doc)), 0)
	require.NoError(t, err)
	assert.Equal(t, 3, n)
	half := io.MultiReader(strings.NewReader(doc[:len(doc)-20]), iotest.ErrReader(errAway))
	n, err = newRegistry(t, registry.Config{}).Import(bg, half, 0)
	require.ErrorIs(t, err, errAway)
	assert.Equal(t, 2, n, "what was read is taken")
}

type shortWriter struct{ left int }

func (w *shortWriter) Write(b []byte) (int, error) {
	if len(b) > w.left {
		return 0, io.ErrShortWrite
	}
	w.left -= len(b)
	return len(b), nil
}

func TestG42_Misuse(t *testing.T) {
	r := registry.MustNew(registry.Config{})
	require.EqualError(t, r.Export(nil), "registry: nil Writer")
	var none context.Context
	_, err := r.Import(none, strings.NewReader(document()), 0)
	require.EqualError(t, err, "registry: nil context")
	_, err = r.Import(bg, nil, 0)
	require.EqualError(t, err, "registry: nil Reader")
	ctx, cancel := context.WithCancelCause(bg)
	cancel(errAway)
	_, err = r.Import(ctx, strings.NewReader(document(goodRecord)), 0)
	assert.Equal(t, errAway, err)
	assert.Empty(t, r.Stats().Instances)
	register(t, r, instance("a"))
	require.NoError(t, r.Close(bg))
	n, err := imports(r, document(goodRecord, goodRecord))
	require.ErrorIs(t, err, registry.ErrClosed)
	assert.Zero(t, n)
	assert.Contains(t, exported(t, r), `"id":"a"`)
}
