package sagatest_test

import (
	"context"
	"errors"
	"path"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// faultsOfCreate are what Create may do wrong.
func faultsOfCreate() map[string]finding {
	return map[string]finding{
		"creates over what is there": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			err := f.MemoryStore.Create(ctx, h, ttl, events)
			if errors.Is(err, durable.ErrConflict) {
				old, _, _ := f.MemoryStore.Load(ctx, h.ID)
				return f.MemoryStore.Append(ctx, old.Rev, h, ttl, events)
			}
			return err
		}), "create", "race"),
		"create is refused and writes": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			err := f.MemoryStore.Create(ctx, h, ttl, events)
			if errors.Is(err, durable.ErrConflict) {
				old, _, _ := f.MemoryStore.Load(ctx, h.ID)
				_ = f.MemoryStore.Append(ctx, old.Rev, h, ttl, nil)
			}
			return err
		}), "create", "race"),
		"create looks, then writes": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			if _, _, err := f.MemoryStore.Load(ctx, h.ID); err == nil {
				return durable.ErrConflict
			}
			time.Sleep(time.Millisecond)
			if err := f.MemoryStore.Create(ctx, h, ttl, events); !errors.Is(err, durable.ErrConflict) {
				return err
			}
			return nil
		}), "race"),
		"create says another error": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			if f.MemoryStore.Create(ctx, h, ttl, events) != nil {
				return errors.New("duplicate key")
			}
			return nil
		}), "create", "race"),
		"create fails": found(creating(func(context.Context, *faulty, durable.Head, time.Duration, [][]byte) error {
			return errors.New("connection refused")
		}), "create", "append", "whole", "order", "payload", "alias", "context", "names", "lease", "claim", "exclusive", "next", "list", "pages", "delete", "watch"),
		"create loses the events": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, _ [][]byte) error {
			return f.MemoryStore.Create(ctx, h, ttl, nil)
		}), "create", "race", "order", "payload"),
		"no such run is no error": found(fault{load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			if errors.Is(err, durable.ErrNotFound) {
				err = nil
			}
			return h, events, err
		}}, "create", "append", "context", "delete"),
		"Load fails": found(fault{load: func(context.Context, *faulty, string) (durable.Head, [][]byte, error) {
			return durable.Head{}, nil, errors.New("connection refused")
		}}, "create", "append", "whole"),
	}
}

// faultsOfHeads lose something of the head.
func faultsOfHeads() map[string]finding {
	field := func(change func(h *durable.Head), must ...string) finding {
		return found(reading(change), append(must, "create")...)
	}
	return map[string]finding{
		"loses ID":          field(func(h *durable.Head) { h.ID = strings.TrimPrefix(h.ID, "conformance-") }),
		"loses Saga":        field(func(h *durable.Head) { h.Saga = "" }),
		"loses Fingerprint": field(func(h *durable.Head) { h.Fingerprint = "" }, "list", "claim", "append"),
		"loses Step":        field(func(h *durable.Head) { h.Step = "" }),
		"loses Status":      field(func(h *durable.Head) { h.Status = saga.Running }),
		"loses Reason":      field(func(h *durable.Head) { h.Reason = saga.ReasonNone }),
		"loses one Reason":  field(func(h *durable.Head) { h.Reason = min(h.Reason, saga.ReasonCrashLoop) }),
		"loses Attempt":     field(func(h *durable.Head) { h.Attempt = 0 }),
		"Attempt is a byte": field(func(h *durable.Head) { h.Attempt = int(uint8(h.Attempt)) }),
		"loses InFlight":    field(func(h *durable.Head) { h.InFlight = false }),
		"always InFlight":   field(func(h *durable.Head) { h.InFlight = true }),
		"loses WakeAt":      field(func(h *durable.Head) { h.WakeAt = time.Time{} }),
		"WakeAt is in 1970": field(func(h *durable.Head) {
			if h.WakeAt.IsZero() {
				h.WakeAt = time.Unix(0, 0)
			}
		}),
		"WakeAt is in seconds":    field(func(h *durable.Head) { h.WakeAt = h.WakeAt.Truncate(time.Second) }),
		"loses CreatedAt":         field(func(h *durable.Head) { h.CreatedAt = time.Time{} }),
		"CreatedAt is in ms":      field(func(h *durable.Head) { h.CreatedAt = h.CreatedAt.Truncate(time.Millisecond) }),
		"UpdatedAt is the time":   field(func(h *durable.Head) { h.UpdatedAt = time.Now() }, "list"),
		"loses the zone":          field(func(h *durable.Head) { h.CreatedAt = h.CreatedAt.Add(-3 * time.Hour) }),
		"loses Labels":            field(func(h *durable.Head) { h.Labels = nil }, "list"),
		"loses empty labels":      field(func(h *durable.Head) { delete(h.Labels, "") }),
		"Rev begins at 0":         field(func(h *durable.Head) { h.Rev-- }),
		"Epoch begins at 0":       field(func(h *durable.Head) { h.Epoch-- }),
		"Rev is twice as much":    field(func(h *durable.Head) { h.Rev *= 2 }),
		"Epoch counts all writes": found(reading(func(h *durable.Head) { h.Epoch = h.Rev }), "append"),
		"Epoch counts no claims":  found(reading(func(h *durable.Head) { h.Epoch = 1 }), "claim"),
		"Rev counts no claims":    found(reading(func(h *durable.Head) { h.Rev = h.Rev - h.Epoch + 1 }), "claim", "exclusive"),
		"loses Owner":             found(reading(func(h *durable.Head) { h.Owner = "" }), "lease", "claim", "exclusive", "list"),
		"loses LeaseUntil": found(reading(func(h *durable.Head) {
			if h.Owner != "clock" {
				h.LeaseUntil = time.Time{}
			}
		}), "lease", "claim"),
		"endless is until 9999": found(reading(func(h *durable.Head) {
			if h.Owner != "" && h.LeaseUntil.IsZero() {
				h.LeaseUntil = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
			}
		}), "lease"),
		"Rev is that of the caller": found(creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			err := f.MemoryStore.Create(ctx, h, ttl, events)
			for rev := uint64(1); err == nil && rev < h.Rev; rev++ {
				err = f.MemoryStore.Append(ctx, rev, h, 0, nil)
			}
			return err
		}), "create"),
	}
}

// faultsOfAppend are what Append may do wrong.
func faultsOfAppend() map[string]finding {
	// rev appends at another Rev if that is wanted.
	rev := func(other func(at, stored uint64) uint64) fault {
		return appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			stored, _, _ := f.MemoryStore.Load(ctx, h.ID)
			return f.MemoryStore.Append(ctx, other(at, stored.Rev), h, ttl, events)
		})
	}
	// refused does something besides when Append is refused.
	refused := func(with error, do func(ctx context.Context, f *faulty, old durable.Head, h durable.Head, events [][]byte) error) fault {
		return appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			err := f.MemoryStore.Append(ctx, at, h, ttl, events)
			if errors.Is(err, with) {
				old, _, _ := f.MemoryStore.Load(ctx, h.ID)
				return do(ctx, f, old, h, events)
			}
			return err
		})
	}
	return map[string]finding{
		"compares nothing":      found(rev(func(_, stored uint64) uint64 { return stored }), "append", "claim"),
		"takes a Rev to come":   found(rev(func(at, stored uint64) uint64 { return min(at, stored) }), "append"),
		"takes a Rev that past": found(rev(func(at, stored uint64) uint64 { return max(at, stored) }), "append", "claim"),
		"0 is any Rev": found(rev(func(at, stored uint64) uint64 {
			if at == 0 {
				return stored
			}
			return at
		}), "append"),
		"compares, then swaps": found(appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			stored, _, err := f.MemoryStore.Load(ctx, h.ID)
			if err != nil || stored.Rev != at {
				return f.MemoryStore.Append(ctx, at, h, ttl, events)
			}
			time.Sleep(time.Millisecond)
			if f.MemoryStore.Append(ctx, at, h, ttl, events) == nil {
				return nil
			}
			stored, _, _ = f.MemoryStore.Load(ctx, h.ID)
			return f.MemoryStore.Append(ctx, stored.Rev, h, ttl, events)
		}), "append"),
		"a conflict is no error": found(refused(durable.ErrConflict, func(context.Context, *faulty, durable.Head, durable.Head, [][]byte) error {
			return nil
		}), "append", "claim"),
		"a conflict is another error": found(refused(durable.ErrConflict, func(context.Context, *faulty, durable.Head, durable.Head, [][]byte) error {
			return durable.ErrNotFound
		}), "append", "claim"),
		"adds what it refuses": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, old, _ durable.Head, events [][]byte) error {
			_ = f.MemoryStore.Append(ctx, old.Rev, old, 0, events)
			return durable.ErrConflict
		}), "append"),
		"takes the head that it refuses": found(refused(durable.ErrConflict, func(ctx context.Context, f *faulty, old, h durable.Head, _ [][]byte) error {
			_ = f.MemoryStore.Append(ctx, old.Rev, h, 0, nil)
			return durable.ErrConflict
		}), "append"),
		"appends to what is not there": found(refused(durable.ErrNotFound, func(ctx context.Context, f *faulty, _, h durable.Head, events [][]byte) error {
			return f.MemoryStore.Create(ctx, h, 0, events)
		}), "append", "delete"),
		"creates what it does not find": found(refused(durable.ErrNotFound, func(ctx context.Context, f *faulty, _, h durable.Head, events [][]byte) error {
			_ = f.MemoryStore.Create(ctx, h, 0, events)
			return durable.ErrNotFound
		}), "append"),
		"what is not there is a conflict": found(refused(durable.ErrNotFound, func(context.Context, *faulty, durable.Head, durable.Head, [][]byte) error {
			return durable.ErrConflict
		}), "append", "delete"),
		"does nothing without events": found(appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			if len(events) == 0 {
				return nil
			}
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		}), "append", "lease"),
		"keeps labels": found(appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			if old, _, _ := f.MemoryStore.Load(ctx, h.ID); h.Labels == nil {
				h.Labels = old.Labels
			}
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		}), "append"),
		"keeps WakeAt": found(appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			if old, _, _ := f.MemoryStore.Load(ctx, h.ID); h.WakeAt.IsZero() {
				h.WakeAt = old.WakeAt
			}
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		}), "append", "claim"),
		"shows events before the head": found(fault{
			append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
				f.locked(func() { f.kept[h.ID] = events })
				time.Sleep(time.Millisecond)
				defer f.locked(func() { delete(f.kept, h.ID) })
				return f.MemoryStore.Append(ctx, at, h, ttl, events)
			},
			load: func(ctx context.Context, f *faulty, id string) (h durable.Head, events [][]byte, err error) {
				f.locked(func() {
					h, events, err = f.MemoryStore.Load(ctx, id)
					events = append(events, f.kept[id]...)
				})
				time.Sleep(time.Microsecond)
				return h, events, err
			},
		}, "whole"),
		"lists heads that are late": found(listing(func(ctx context.Context, f *faulty, q durable.Query) ([]durable.Head, string, error) {
			heads, cursor, err := f.MemoryStore.List(ctx, q)
			for i := range heads {
				heads[i].Attempt = max(heads[i].Attempt-1, 1)
			}
			return heads, cursor, err
		}), "whole"),
	}
}

// faultsOfContexts heed them too little or too late.
func faultsOfContexts() map[string]finding {
	type calls = fault
	through := func(do func(ctx context.Context, write func(context.Context) error) error) map[string]calls {
		return map[string]calls{
			"create": creating(func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				return do(ctx, func(ctx context.Context) error { return f.MemoryStore.Create(ctx, h, ttl, events) })
			}),
			"append": appending(func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
				return do(ctx, func(ctx context.Context) error { return f.MemoryStore.Append(ctx, at, h, ttl, events) })
			}),
			"claim": claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
				err = do(ctx, func(ctx context.Context) (err error) {
					heads, next, err = f.MemoryStore.Claim(ctx, req)
					return err
				})
				return heads, next, err
			}),
			"delete": removing(func(ctx context.Context, f *faulty, id string, at uint64) error {
				return do(ctx, func(ctx context.Context) error { return f.MemoryStore.Delete(ctx, id, at) })
			}),
		}
	}
	all := make(map[string]finding)
	for what, do := range map[string]func(ctx context.Context, write func(context.Context) error) error{
		"ignores the context": func(ctx context.Context, write func(context.Context) error) error {
			return write(context.WithoutCancel(ctx))
		},
		"writes in spite of the context": func(ctx context.Context, write func(context.Context) error) error {
			if err := write(context.WithoutCancel(ctx)); err != nil {
				return err
			}
			return context.Cause(ctx)
		},
		"returns nil when the context has ended": func(ctx context.Context, write func(context.Context) error) error {
			select {
			case <-ctx.Done():
				return nil
			default:
				return write(ctx)
			}
		},
	} {
		for name, f := range through(do) {
			all[name+" "+what] = found(f, "context")
		}
	}
	hides := through(func(ctx context.Context, write func(context.Context) error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return write(ctx)
	})
	all["create hides the cause"], all["append hides the cause"] = found(hides["create"], "context"), found(hides["append"], "context")
	return all
}

// faultsOfNames mistake one run for another.
func faultsOfNames() map[string]finding {
	names := func(rename func(string) string) finding { return found(renaming(rename), "names") }
	return map[string]finding{
		"folds case":       names(strings.ToLower),
		"trims spaces":     names(strings.TrimSpace),
		"cleans paths":     names(path.Clean),
		"escapes no more":  names(func(id string) string { return strings.ReplaceAll(id, "%2F", "/") }),
		"cuts long names":  names(func(id string) string { return id[:min(len(id), 128)] }),
		"normalises names": names(func(id string) string { return strings.ReplaceAll(id, "e\u0301", "\u00e9") }),
		"backslashes":      names(func(id string) string { return strings.ReplaceAll(id, "\\", "/") }),
		"names are ASCII": names(func(id string) string {
			return strings.Map(func(r rune) rune { return min(r, 127) }, id)
		}),
	}
}
