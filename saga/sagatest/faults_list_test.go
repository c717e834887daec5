package sagatest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// everything is all heads that match.
func everything(f *faulty, q durable.Query) []durable.Head {
	q.Limit, q.Cursor = -1, ""
	heads, _, _ := f.MemoryStore.List(context.Background(), q)
	return heads
}

// offsets pages by counting, in some order.
func offsets(sort func(heads []durable.Head)) fault {
	return listing(func(_ context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
		heads := everything(f, q)
		sort(heads)
		from, _ := strconv.Atoi(q.Cursor)
		limit := q.Limit
		if limit == 0 {
			limit = 100
		}
		from = min(from, len(heads))
		to := min(from+limit, len(heads))
		if to == len(heads) {
			return heads[from:], "", nil
		}
		return heads[from:to], strconv.Itoa(to), nil
	})
}

// faultsOfList are what List may do wrong.
func faultsOfList() map[string]finding {
	asking := func(change func(q *durable.Query), must ...string) finding {
		return found(listing(func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			change(&q)
			return f.MemoryStore.List(ctx, q)
		}), must...)
	}
	giving := func(change func(f *faulty, q durable.Query, heads []durable.Head, cursor string) ([]durable.Head, string), must ...string) finding {
		return found(listing(func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			heads, cursor, err := f.MemoryStore.List(ctx, q)
			heads, cursor = change(f, q, heads, cursor)
			return heads, cursor, err
		}), must...)
	}
	return map[string]finding{
		"any Saga": asking(func(q *durable.Query) { q.Saga = "" }, "list", "names"),
		"no Saga is none": asking(func(q *durable.Query) {
			if q.Saga == "" {
				q.Saga = "none"
			}
		}, "list", "names"),
		"any Status": asking(func(q *durable.Query) { q.Status = nil }, "list"),
		"one Status": asking(func(q *durable.Query) { q.Status = q.Status[:min(1, len(q.Status))] }, "list"),
		"any labels": asking(func(q *durable.Query) { q.Labels = nil }, "list", "names"),
		"any time":   asking(func(q *durable.Query) { q.UpdatedBefore = time.Time{} }, "list"),
		"updated at, too": asking(func(q *durable.Query) {
			if !q.UpdatedBefore.IsZero() {
				q.UpdatedBefore = q.UpdatedBefore.Add(1)
			}
		}, "list"),
		"some of the labels": asking(func(q *durable.Query) {
			if len(q.Labels) > 1 {
				q.Labels = maps.Clone(q.Labels)
				delete(q.Labels, slices.Sorted(maps.Keys(q.Labels))[0])
			}
		}, "list"),
		"trims labels": asking(func(q *durable.Query) {
			q.Labels = maps.Clone(q.Labels)
			for k, v := range q.Labels {
				q.Labels[k] = strings.TrimSpace(v)
			}
		}, "list"),
		"sagas by prefix": found(listing(func(_ context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			name := q.Saga
			q.Saga = ""
			return slices.DeleteFunc(everything(f, q), func(h durable.Head) bool { return !strings.HasPrefix(h.Saga, name) }), "", nil
		}), "list", "names"),
		"no Limit":         asking(func(q *durable.Query) { q.Limit = -1 }, "list", "pages"),
		"one beyond Limit": asking(func(q *durable.Query) { q.Limit++ }, "list", "pages"),
		"Limit is 1000": asking(func(q *durable.Query) {
			if q.Limit == 0 {
				q.Limit = 1000
			}
		}, "list"),
		"one page": giving(func(_ *faulty, _ durable.Query, heads []durable.Head, _ string) ([]durable.Head, string) {
			return heads, ""
		}, "list", "pages"),
		"a short page is the last": giving(func(_ *faulty, q durable.Query, heads []durable.Head, cursor string) ([]durable.Head, string) {
			if q.Cursor != "" && len(heads) > 1 {
				return heads[:len(heads)-1], cursor
			}
			return heads, cursor
		}, "list", "pages"),
		"pages overlap": giving(func(f *faulty, _ durable.Query, heads []durable.Head, cursor string) ([]durable.Head, string) {
			f.locked(func() {
				if len(f.more) > 0 && len(heads) > 0 {
					heads[0] = f.more[len(f.more)-1]
				}
				f.more = heads
			})
			return heads, cursor
		}, "list"),
		"never comes to an end": giving(func(_ *faulty, _ durable.Query, heads []durable.Head, _ string) ([]durable.Head, string) {
			return heads, "0"
		}, "list", "pages", "names", "delete"),
		"no labels in lists": giving(func(_ *faulty, _ durable.Query, heads []durable.Head, cursor string) ([]durable.Head, string) {
			for i := range heads {
				heads[i].Labels = nil
			}
			return heads, cursor
		}, "list"),
		"no lease in lists": giving(func(_ *faulty, _ durable.Query, heads []durable.Head, cursor string) ([]durable.Head, string) {
			for i := range heads {
				heads[i].Owner = ""
			}
			return heads, cursor
		}, "list"),
		"labels as they were": found(fault{
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				f.locked(func() { f.heads[h.ID] = h })
				return f.MemoryStore.Create(ctx, h, ttl, events)
			},
			list: func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
				labels := q.Labels
				q.Labels = nil
				heads, cursor, err := f.MemoryStore.List(ctx, q)
				heads = slices.DeleteFunc(heads, func(h durable.Head) bool {
					for k, v := range labels {
						if got, ok := f.heads[h.ID].Labels[k]; !ok || got != v {
							return true
						}
					}
					return false
				})
				return heads, cursor, err
			},
		}, "list"),
		"List fails": found(listing(func(context.Context, *faulty, durable.Query) ([]durable.Head, string, error) {
			return nil, "", errors.New("connection refused")
		}), "list", "pages", "names", "delete", "whole"),
		"counts by age": found(offsets(func([]durable.Head) {}), "pages"),
		"counts by ID": found(offsets(func(heads []durable.Head) {
			slices.SortFunc(heads, func(a, b durable.Head) int { return strings.Compare(a.ID, b.ID) })
		}), "pages"),
		"counts by time": found(offsets(func(heads []durable.Head) {
			slices.SortFunc(heads, func(a, b durable.Head) int { return a.UpdatedAt.Compare(b.UpdatedAt) })
		}), "pages"),
	}
}

// faultsOfDelete are what Delete may do wrong.
func faultsOfDelete() map[string]finding {
	refused := func(with error, do func(ctx context.Context, f *faulty, id string, at uint64) error) fault {
		return removing(func(ctx context.Context, f *faulty, id string, at uint64) error {
			err := f.MemoryStore.Delete(ctx, id, at)
			if errors.Is(err, with) {
				return do(ctx, f, id, at)
			}
			return err
		})
	}
	force := func(ctx context.Context, f *faulty, id string) error {
		h, _, err := f.MemoryStore.Load(ctx, id)
		if err != nil {
			return err
		}
		h.Status = saga.Completed
		_ = f.MemoryStore.Append(ctx, h.Rev, h, 0, nil)
		return f.MemoryStore.Delete(ctx, id, h.Rev+1)
	}
	return map[string]finding{
		"deletes what has not ended": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, id string, at uint64) error {
			if h, _, _ := f.MemoryStore.Load(ctx, id); h.Rev != at {
				return durable.ErrConflict
			}
			return force(ctx, f, id)
		}), "delete"),
		"deletes what is stuck": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, id string, _ uint64) error {
			if h, _, _ := f.MemoryStore.Load(ctx, id); h.Status != saga.Stuck {
				return durable.ErrConflict
			}
			return force(ctx, f, id)
		}), "delete"),
		"deletes at any Rev": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, id string, _ uint64) error {
			h, _, _ := f.MemoryStore.Load(ctx, id)
			return f.MemoryStore.Delete(ctx, id, h.Rev)
		}), "delete"),
		"deletes what it refuses": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, id string, _ uint64) error {
			_ = force(ctx, f, id)
			return durable.ErrConflict
		}), "delete"),
		"a refused delete is no error":  found(refused(durable.ErrConflict, func(context.Context, *faulty, string, uint64) error { return nil }), "delete"),
		"nothing to delete is no error": found(refused(durable.ErrNotFound, func(context.Context, *faulty, string, uint64) error { return nil }), "delete"),
		"deletes no abandoned": found(removing(func(ctx context.Context, f *faulty, id string, at uint64) error {
			if h, _, _ := f.MemoryStore.Load(ctx, id); h.Status == saga.Abandoned {
				return durable.ErrConflict
			}
			return f.MemoryStore.Delete(ctx, id, at)
		}), "delete"),
		"deletes nothing": found(removing(func(ctx context.Context, f *faulty, id string, at uint64) error {
			if h, _, err := f.MemoryStore.Load(ctx, id); err != nil || !h.Status.Ended() || h.Rev != at {
				return f.MemoryStore.Delete(ctx, id, at)
			}
			return nil
		}), "delete"),
		"lists what is deleted": found(fault{
			remove: func(ctx context.Context, f *faulty, id string, at uint64) error {
				h, _, _ := f.MemoryStore.Load(ctx, id)
				err := f.MemoryStore.Delete(ctx, id, at)
				if err == nil {
					f.locked(func() { f.more = append(f.more, h) })
				}
				return err
			},
			list: func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
				heads, cursor, err := f.MemoryStore.List(ctx, q)
				return append(heads, f.more...), cursor, err
			},
		}, "delete"),
		"journals stay": found(fault{
			remove: func(ctx context.Context, f *faulty, id string, at uint64) error {
				_, events, _ := f.MemoryStore.Load(ctx, id)
				err := f.MemoryStore.Delete(ctx, id, at)
				if err == nil {
					f.locked(func() { f.kept[id] = events })
				}
				return err
			},
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				return f.MemoryStore.Create(ctx, h, ttl, append(f.kept[h.ID], events...))
			},
		}, "delete"),
		"Revs stay": found(fault{
			remove: func(ctx context.Context, f *faulty, id string, at uint64) error {
				err := f.MemoryStore.Delete(ctx, id, at)
				if err == nil {
					f.locked(func() { f.heads[id] = durable.Head{} })
				}
				return err
			},
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				err := f.MemoryStore.Create(ctx, h, ttl, events)
				if _, again := f.heads[h.ID]; again && err == nil {
					return f.MemoryStore.Append(ctx, 1, h, ttl, nil)
				}
				return err
			},
		}, "delete"),
	}
}

// faultsOfWatch are what Watch may do wrong.
func faultsOfWatch() map[string]finding {
	// hinting tells the watchers itself when a write asks for it.
	hinting := func(created, appended func(h durable.Head) bool) fault {
		tell := func(f *faulty, asked bool) {
			f.locked(func() {
				for _, hints := range f.hints {
					if asked && len(hints) == 0 {
						hints <- struct{}{}
					}
				}
			})
		}
		return fault{
			watch: func(_ context.Context, f *faulty) (<-chan struct{}, error) {
				hints := make(chan struct{}, 1)
				f.locked(func() { f.hints = append(f.hints, hints) })
				return hints, nil
			},
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				defer tell(f, created(h))
				return f.MemoryStore.Create(ctx, h, ttl, events)
			},
			append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
				defer tell(f, appended(h))
				return f.MemoryStore.Append(ctx, at, h, ttl, events)
			},
		}
	}
	yes := func(durable.Head) bool { return true }
	no := func(durable.Head) bool { return false }
	past := func(h durable.Head) bool { return !h.WakeAt.After(time.Now()) }
	watching := func(watch func(ctx context.Context, f *faulty) (<-chan struct{}, error)) finding {
		return found(fault{watch: watch}, "watch")
	}
	closed := make(chan struct{})
	close(closed)
	return map[string]finding{
		"tells nothing":        found(hinting(no, no), "watch"),
		"tells of Create":      found(hinting(yes, no), "watch"),
		"tells of Append":      found(hinting(no, yes), "watch"),
		"tells of what is due": found(hinting(past, past), "watch"),
		"no channel":           watching(func(context.Context, *faulty) (<-chan struct{}, error) { return nil, nil }),
		"Watch fails":          watching(func(context.Context, *faulty) (<-chan struct{}, error) { return nil, errors.New("no route to host") }),
		"closed at once":       watching(func(context.Context, *faulty) (<-chan struct{}, error) { return closed, nil }),
		"one watcher": watching(func(ctx context.Context, f *faulty) (<-chan struct{}, error) {
			f.locked(func() { f.calls++ })
			if f.calls > 2 {
				return make(chan struct{}), nil
			}
			return f.MemoryStore.Watch(ctx)
		}),
		"one hint": watching(func(ctx context.Context, f *faulty) (<-chan struct{}, error) {
			hints, err := f.MemoryStore.Watch(ctx)
			once := make(chan struct{}, 1)
			go func() {
				select {
				case <-hints:
					once <- struct{}{}
				case <-ctx.Done():
				}
			}()
			return once, err
		}),
	}
}
