package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// working has a worker of this process do a job, on services of its own, and returns
// what it says.
func working(t *testing.T, dir string, d *desk, orders []Order) (all []message, err error) {
	t.Helper()
	in, boss := io.Pipe()
	defer func() { _ = boss.Close() }()
	go func() { _ = json.NewEncoder(boss).Encode(job{dir, d.urls, orders}) }()
	var out bytes.Buffer
	err = work(t.Context(), in, &out)
	for lines := json.NewDecoder(&out); lines.More(); {
		var m message
		require.NoError(t, lines.Decode(&m))
		all = append(all, m)
	}
	return all, err
}

// A job that is done twice is done once.
func TestWork(t *testing.T) {
	orders := someOrders(t, fate{parcels, "too heavy", fine}, fate{charges, "card declined", fine}, fate{reservations, "out of stock", fine})
	d := newDesk(t, orders[0])
	dir := t.TempDir()
	said, err := working(t, dir, d, orders)
	require.NoError(t, err)
	require.NotEmpty(t, said)
	first := said[len(said)-1].Report
	require.NotNil(t, first)
	require.Len(t, first.Runs, 3)
	assert.Contains(t, first.Mermaid, "undone")
	most := slices.MaxFunc(first.Runs, func(a, b ending) int { return cmp.Compare(a.Undone, b.Undone) })
	assert.Positive(t, most.Undone)
	assert.Equal(t, most.Order, first.Drawn)
	for i, e := range first.Runs {
		assert.Equal(t, orders[i].ID, e.Order)
		assert.Equal(t, "compensated", e.Status)
		assert.NotEmpty(t, e.Why)
		assert.Empty(t, e.Law)
		assert.Empty(t, e.Reason)
		assert.Positive(t, e.Attempts)
		assert.Zero(t, e.Interrupted)
		assert.Contains(t, said, message{Run: e.Order, Status: "compensated"})
	}

	before := d.postings()
	said, err = working(t, dir, d, orders)
	require.NoError(t, err)
	assert.Equal(t, []message{{Status: "open"}, {Report: first}}, said, "nothing is left to do")
	assert.Equal(t, before, d.postings())
}

// The name of an order stands for what is ordered.
func TestWork_anotherOrder(t *testing.T) {
	orders := someOrders(t, fate{reservations, "out of stock", fine})
	d := newDesk(t, orders[0])
	dir := t.TempDir()
	_, err := working(t, dir, d, orders)
	require.NoError(t, err)
	orders[0].Quantity++
	_, err = working(t, dir, d, orders)
	require.ErrorContains(t, err, "there is another run \""+orders[0].ID+"\"")
}

func TestWork_noJob(t *testing.T) {
	require.ErrorContains(t, work(t.Context(), strings.NewReader("?"), io.Discard), "no job: ")
	require.ErrorIs(t, work(t.Context(), strings.NewReader(""), io.Discard), io.EOF)
}

func TestWork_noStore(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err := working(t, file, newDesk(t, lampOrder), nil)
	require.Error(t, err)
}

// When the one who waits for it has gone, the worker goes, too. Nothing is undone.
func TestWork_left(t *testing.T) {
	orders := someOrders(t, fate{})
	d := newDesk(t, orders[0])
	in, boss := io.Pipe()
	begun := make(chan struct{})
	d.freeze(func() { close(begun) })
	go func() {
		_ = json.NewEncoder(boss).Encode(job{t.TempDir(), d.urls, orders})
		<-begun
		_ = boss.Close()
	}()
	require.ErrorIs(t, work(t.Context(), in, io.Discard), errLeft)
}

// A run that is stuck is reported with its reason, beside one that is completed and
// one that was compensated.
func TestExecute_stuck(t *testing.T) {
	no := saga.Reject(errors.New("no"))
	def := saga.MustNew("checkout", []saga.Step[Purchase]{
		{Name: "reserve", Do: func(context.Context, *Purchase) error { return nil }, Undo: func(_ context.Context, p *Purchase) error {
			if p.Order.ID == "stuck" {
				return no
			}
			return nil
		}},
		{Name: "charge", Do: func(_ context.Context, p *Purchase) error {
			if p.Order.ID != "good" {
				return no
			}
			return nil
		}},
	})
	engine, err := durable.Open(&durable.MemoryStore{}, durable.Config{})
	require.NoError(t, err)
	defer func() { assert.NoError(t, engine.Close(context.Background())) }()
	orders := []Order{{ID: "good"}, {ID: "back"}, {ID: "stuck"}}
	got, err := execute(t.Context(), engine, def, orders)
	require.NoError(t, err)
	assert.Equal(t, []ending{
		{Order: "good", Status: "completed", Attempts: 2},
		{Order: "back", Status: "compensated", Step: "charge", Why: "no", Attempts: 3, Undone: 1},
		{Order: "stuck", Status: "stuck", Reason: "undo failed", Step: "charge", Why: "no", Attempts: 3},
	}, got.Runs)
	assert.Equal(t, "back", got.Drawn)

	_, err = execute(t.Context(), engine, def, orders)
	require.ErrorIs(t, err, durable.ErrConflict, "it is registered already")
	_, _, err = look(t.Context(), engine, def, "another", nil)
	require.ErrorIs(t, err, durable.ErrNotFound)
}

func TestWork_nobodyHears(t *testing.T) {
	deaf := errors.New("deaf")
	in, boss := io.Pipe()
	defer func() { _ = boss.Close() }()
	go func() { _ = json.NewEncoder(boss).Encode(job{Dir: t.TempDir()}) }()
	require.ErrorIs(t, work(context.Background(), in, writer(func([]byte) (int, error) { return 0, deaf })), deaf)
}

type writer func([]byte) (int, error)

func (w writer) Write(b []byte) (int, error) { return w(b) }
