package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestFuse(t *testing.T) {
	var f fuse
	kills := 0
	kill := func() error { kills++; return nil }
	f.moment() // it is not lit
	killed, _, _ := f.burnt()
	assert.False(t, killed)

	f.light(2, kill)
	f.moment()
	assert.Zero(t, kills)
	f.moment()
	f.moment()
	assert.Equal(t, 1, kills)
	killed, seen, err := f.burnt()
	assert.True(t, killed)
	assert.Equal(t, 3, seen)
	require.NoError(t, err)

	f.light(1, kill)
	f.light(0, nil) // out
	f.moment()
	killed, seen, _ = f.burnt()
	assert.False(t, killed)
	assert.Equal(t, 1, seen)
	assert.Equal(t, 1, kills)

	f.light(1, func() error { return os.ErrProcessDone })
	f.moment()
	_, _, err = f.burnt()
	require.ErrorIs(t, err, os.ErrProcessDone)
}

func TestListen(t *testing.T) {
	var f fuse
	r, err := listen(strings.NewReader(`{"Run":"a","Status":"running"}
{"Run":"a","Status":"completed"}
{"Report":{"Runs":[{"Order":"a","Status":"completed"}]}}
{"Run":"a","Status":"completed"}
`), &f)
	require.NoError(t, err)
	require.NotNil(t, r)
	assert.Equal(t, []ending{{Order: "a", Status: "completed"}}, r.Runs)
	_, seen, _ := f.burnt()
	assert.Equal(t, 3, seen)

	r, err = listen(strings.NewReader(`{"Run":"a","Status":"running"}`+"\n"+`{"Run":"a","Sta`), &f)
	require.Error(t, err)
	assert.Nil(t, r)
	r, err = listen(strings.NewReader(""), &f)
	require.NoError(t, err)
	assert.Nil(t, r)
}

// The moments are drawn by the seed, and the first one comes in any case: no order
// has fewer than two.
func TestPlan_moment(t *testing.T) {
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	drawn := make(map[int]bool)
	for seed := range uint64(200) {
		p := plan{orders: orders, script: script{seed}, kills: 3}
		first := p.moment(0)
		drawn[first] = true
		assert.Equal(t, first, p.moment(0))
		assert.GreaterOrEqual(t, first, 1)
		assert.LessOrEqual(t, first, 2*len(orders))
		for i := 1; i < 3; i++ {
			assert.GreaterOrEqual(t, p.moment(i), 1)
			assert.LessOrEqual(t, p.moment(i), 16*len(orders)/3)
		}
		assert.Zero(t, p.moment(3), "the last one is left alone")
		assert.Zero(t, plan{orders: orders}.moment(0))
		assert.LessOrEqual(t, plan{orders: orders[:1], kills: 50}.moment(7), 2)
	}
	assert.Greater(t, len(drawn), 40)
}

// A worker that fails by itself was not killed, and what it says is heard.
func TestWorkFor_fails(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	var errs strings.Builder
	_, err := workFor(t.Context(), job{Dir: file}, new(fuse), 5, &errs)
	require.ErrorContains(t, err, "the worker ended without a report: exit status 1")
	assert.Contains(t, errs.String(), "orders: worker: ")
}

func TestWorkFor_cancelled(t *testing.T) {
	orders := someOrders(t, fate{})
	d := newDesk(t, orders[0])
	why := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	d.freeze(func() { cancel(why) })
	_, err := workFor(ctx, job{t.TempDir(), d.urls, orders}, new(fuse), 0, io.Discard)
	require.ErrorIs(t, err, why)
	_, err = workFor(ctx, job{}, new(fuse), 0, io.Discard)
	require.Error(t, err)
}
