package filestore

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/mainstay-go/mainstay/saga/durable"
)

const (
	defaultLimit = 100

	// listChunk is how many runs List looks at before it lets others have the lock.
	listChunk = 1024
)

// List returns heads in the order in which the runs were created, as
// [durable.Store] says.
func (s *Store) List(ctx context.Context, q durable.Query) (heads []durable.Head, cursor string, err error) {
	if err := s.enter(ctx, "List"); err != nil {
		return nil, "", err
	}
	defer s.leave()
	var num uint64
	if q.Cursor != "" {
		if num, err = strconv.ParseUint(q.Cursor, 36, 64); err != nil {
			return nil, "", fmt.Errorf("filestore: List: Cursor is %.64q, want one of a page before", q.Cursor)
		}
	}
	limit := q.Limit
	switch {
	case limit == 0:
		limit = defaultLimit
	case limit < 0:
		limit = math.MaxInt
	}
	for {
		var more bool
		if heads, num, more = s.listFrom(heads, num, limit, &q); !more {
			return heads, "", nil
		}
		if len(heads) >= limit {
			return heads, strconv.FormatUint(num, 36), nil
		}
		if err := context.Cause(ctx); err != nil {
			return nil, "", err
		}
	}
}

// listFrom looks at some runs with numbers above num. It returns the last one that
// it looked at, and whether there are more.
func (s *Store) listFrom(heads []durable.Head, num uint64, limit int, q *durable.Query) ([]durable.Head, uint64, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	rest := s.order[s.from(num):]
	for i, r := range rest {
		if i == listChunk || len(heads) >= limit {
			return heads, num, true
		}
		num = r.num
		if r.exists() && matches(&r.head, q) {
			heads = append(heads, r.shown())
		}
	}
	return heads, num, false
}

func matches(h *durable.Head, q *durable.Query) bool {
	if q.Saga != "" && h.Saga != q.Saga ||
		len(q.Status) > 0 && !slices.Contains(q.Status, h.Status) ||
		!q.UpdatedBefore.IsZero() && !h.UpdatedAt.Before(q.UpdatedBefore) {
		return false
	}
	for k, v := range q.Labels {
		if have, ok := h.Labels[k]; !ok || have != v {
			return false
		}
	}
	return true
}
