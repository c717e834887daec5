package sagatest_test

import (
	"bytes"
	"context"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// faultsOfEvents are what may happen to journals.
func faultsOfEvents() map[string]finding {
	each := func(change func(e []byte) []byte) func([][]byte) [][]byte {
		return func(events [][]byte) [][]byte {
			for i := range events {
				events[i] = change(events[i])
			}
			return events
		}
	}
	return map[string]finding{
		"adds in reverse order": found(writing(func(_ *durable.Head, _ *time.Duration, events *[][]byte) { slices.Reverse(*events) }), "create", "append", "order"),
		"new events first":      found(loading(func(events [][]byte) [][]byte { slices.Reverse(events); return events }), "append", "order"),
		"sorts as text": found(loading(func(events [][]byte) [][]byte {
			slices.SortStableFunc(events, bytes.Compare)
			return events
		}), "order"),
		"keeps 5000 events": found(loading(func(events [][]byte) [][]byte { return events[:min(len(events), 5000)] }), "order"),
		"two swap places": found(loading(func(events [][]byte) [][]byte {
			if n := len(events); n > 4000 {
				events[n-1], events[n-2] = events[n-2], events[n-1]
			}
			return events
		}), "order"),
		"keeps an event once": found(loading(func(events [][]byte) [][]byte {
			return slices.CompactFunc(events, bytes.Equal)
		}), "payload"),
		"loses empty events": found(loading(func(events [][]byte) [][]byte {
			return slices.DeleteFunc(events, func(e []byte) bool { return len(e) == 0 })
		}), "payload"),
		"cuts at NUL":           found(loading(each(func(e []byte) []byte { e, _, _ = bytes.Cut(e, []byte{0}); return e })), "payload"),
		"cuts what is long":     found(loading(each(func(e []byte) []byte { return e[:min(len(e), 1<<16)] })), "payload"),
		"events are text":       found(loading(each(func(e []byte) []byte { return bytes.ToValidUTF8(e, []byte("?")) })), "payload"),
		"trims events":          found(loading(each(bytes.TrimSpace)), "payload"),
		"changes ends of lines": found(loading(each(func(e []byte) []byte { return bytes.ReplaceAll(e, []byte("\r\n"), []byte("\n")) })), "payload"),
		"empty is null": found(loading(each(func(e []byte) []byte {
			if len(e) == 0 {
				return []byte("null")
			}
			return e
		})), "payload"),
	}
}

// faultsOfMemory share memory with the caller.
func faultsOfMemory() map[string]finding {
	keep := func(f *faulty, h durable.Head, events [][]byte) {
		f.locked(func() { f.heads[h.ID], f.kept[h.ID] = h, append(f.kept[h.ID], events...) })
	}
	keeping := func(load func(f *faulty, h *durable.Head, events *[][]byte)) fault {
		return fault{
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				keep(f, h, events)
				return f.MemoryStore.Create(ctx, h, ttl, events)
			},
			append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
				keep(f, h, events)
				return f.MemoryStore.Append(ctx, at, h, ttl, events)
			},
			load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
				h, events, err := f.MemoryStore.Load(ctx, id)
				f.locked(func() { load(f, &h, &events) })
				return h, events, err
			},
		}
	}
	shared := func(f *faulty, heads []durable.Head) {
		f.locked(func() {
			for i, h := range heads {
				if old, ok := f.heads[h.ID]; ok {
					heads[i].Labels = old.Labels
				}
				f.heads[h.ID] = heads[i]
			}
		})
	}
	load := func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
		h, events, err := f.MemoryStore.Load(ctx, id)
		heads := []durable.Head{h}
		if h.Labels != nil {
			shared(f, heads)
		}
		return heads[0], events, err
	}
	return map[string]finding{
		"keeps events that are passed": found(keeping(func(f *faulty, h *durable.Head, events *[][]byte) {
			for i, e := range f.kept[h.ID] {
				(*events)[i] = slices.Clone(e)
			}
		}), "alias"),
		"keeps labels that are passed": found(keeping(func(f *faulty, h *durable.Head, _ *[][]byte) {
			if kept := f.heads[h.ID].Labels; kept != nil && len(h.Labels) > 0 {
				clear(h.Labels)
				for k, v := range kept {
					h.Labels[k] = v
				}
			}
		}), "alias"),
		"returns its events": found(fault{load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			f.locked(func() {
				copy(events, f.kept[id])
				f.kept[id] = slices.Clone(events)
			})
			return h, events, err
		}}, "alias"),
		"returns events that run into each other": found(loading(func(events [][]byte) [][]byte {
			joined := bytes.Join(events, nil)
			for i, e := range events {
				events[i], joined = joined[:len(e)], joined[len(e):]
			}
			return events
		}), "alias"),
		"Load returns its labels": found(fault{load: load}, "alias"),
		"List returns its labels": found(fault{load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			f.locked(func() {
				if old, ok := f.heads[id]; ok {
					h.Labels = old.Labels
				}
			})
			return h, events, err
		}, list: func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			heads, cursor, err := f.MemoryStore.List(ctx, q)
			shared(f, heads)
			return heads, cursor, err
		}}, "alias"),
		"Claim returns its labels": found(fault{load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			f.locked(func() {
				if old, ok := f.heads[id]; ok {
					h.Labels = old.Labels
				}
			})
			return h, events, err
		}, claim: func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			shared(f, heads)
			return heads, next, err
		}}, "alias"),
	}
}
