package filestore_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// list returns the IDs of all pages.
func list(tb testing.TB, s *filestore.Store, q durable.Query) string {
	tb.Helper()
	var ids []string
	for {
		heads, cursor, err := s.List(bg, q)
		require.NoError(tb, err)
		for _, h := range heads {
			ids = append(ids, h.ID)
		}
		if q.Cursor = cursor; cursor == "" {
			return strings.Join(ids, " ")
		}
	}
}

// TestG49_list: every field of a query narrows it.
func TestG49_list(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{NoSync: true})
	for i := range 6 {
		h := head(fmt.Sprint(i))
		h.Saga = []string{"x", "y"}[i%2]
		h.Status = saga.Status(i%3) + saga.Running
		h.UpdatedAt = day.Add(time.Duration(i) * time.Second)
		h.Labels = map[string]string{"n": fmt.Sprint(i / 2), "all": ""}
		create(t, s, h)
	}
	for q, want := range map[*durable.Query]string{
		{}:          "0 1 2 3 4 5",
		{Limit: 1}:  "0 1 2 3 4 5",
		{Limit: -1}: "0 1 2 3 4 5",
		{Saga: "x"}: "0 2 4",
		{Saga: "z"}: "",
		{Status: []saga.Status{saga.Running, saga.Compensating}}:                      "0 2 3 5",
		{Labels: map[string]string{"n": "1", "all": ""}}:                              "2 3",
		{Labels: map[string]string{"none": ""}}:                                       "",
		{UpdatedBefore: day.Add(2 * time.Second)}:                                     "0 1",
		{Saga: "y", Labels: map[string]string{"n": "1"}, Limit: 1}:                    "3",
		{Saga: "y", Status: []saga.Status{saga.Waiting}, UpdatedBefore: day.Add(2e9)}: "1",
	} {
		require.Equal(t, want, list(t, s, *q), "%+v", *q)
	}
	_, _, err := s.List(bg, durable.Query{Cursor: "no cursor!"})
	require.ErrorContains(t, err, `Cursor is "no cursor!"`)
}

// TestG49_stablePages: while pages are read, runs come, change and go; those that
// do none of it are in exactly one page, also beyond what one look at the index
// takes.
func TestG49_stablePages(t *testing.T) {
	s := open(t, t.TempDir(), filestore.Config{NoSync: true})
	const runs = 3000
	for i := range runs {
		h := ended(fmt.Sprint(i))
		if i%3 > 0 {
			h.Saga = "others"
		}
		create(t, s, h)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	gone := map[string]bool{}
	seen := map[string]int{}
	q := durable.Query{Limit: 7, Saga: "checkout"}
	for page := 0; ; page++ {
		heads, cursor, err := s.List(bg, q)
		require.NoError(t, err)
		for _, h := range heads {
			seen[h.ID]++
		}
		if q.Cursor = cursor; cursor == "" {
			break
		}
		for range 15 {
			id := fmt.Sprint(rng.IntN(runs/2) * 2)
			if !gone[id] {
				require.NoError(t, s.Delete(bg, id, 1))
				gone[id] = true
			}
		}
		if page < 50 {
			create(t, s, head(fmt.Sprint("new-", page)))
		}
	}
	require.Greater(t, len(gone), 700, "so many that the index is made anew")
	for i := 0; i < runs; i += 3 {
		if id := fmt.Sprint(i); !gone[id] {
			require.Equal(t, 1, seen[id], id)
		}
	}
	for id, n := range seen {
		require.Equal(t, 1, n, id)
	}
}
