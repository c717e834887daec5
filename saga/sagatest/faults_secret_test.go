package sagatest_test

import (
	"context"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// shown has f show the lease that a write should give.
func shown(f *faulty, h durable.Head, ttl time.Duration) {
	f.locked(func() {
		was := f.heads[h.ID]
		switch {
		case h.Owner == "" || ttl < 0:
			h.LeaseUntil = time.Time{}
		case ttl > 0:
			h.LeaseUntil = time.Now().Add(ttl)
		default:
			h.Owner, h.LeaseUntil = was.Owner, was.LeaseUntil
		}
		f.heads[h.ID] = h
	})
}

// secretly is a store that shows what it should do, and does something else: a head
// and what Claim goes by may be kept in two places.
func secretly(change func(created bool, h *durable.Head, ttl *time.Duration), claims func(ttl time.Duration) time.Duration) finding {
	show := func(f *faulty, h *durable.Head) {
		f.locked(func() {
			if was, ok := f.heads[h.ID]; ok {
				h.Owner, h.LeaseUntil, h.WakeAt, h.Status = was.Owner, was.LeaseUntil, was.WakeAt, was.Status
			}
		})
	}
	return found(fault{
		create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
			if _, _, err := f.MemoryStore.Load(ctx, h.ID); err != nil {
				shown(f, h, ttl)
			}
			if h.Owner != "clock" {
				change(true, &h, &ttl)
			}
			return f.MemoryStore.Create(ctx, h, ttl, events)
		},
		append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			if old, _, err := f.MemoryStore.Load(ctx, h.ID); err == nil && old.Rev == at {
				shown(f, h, ttl)
			}
			change(false, &h, &ttl)
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		},
		claim: func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			want := req.TTL
			if claims != nil {
				req.TTL = claims(req.TTL)
			}
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			for i := range heads {
				shown(f, heads[i], want)
				show(f, &heads[i])
			}
			return heads, next, err
		},
		load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
			h, events, err := f.MemoryStore.Load(ctx, id)
			show(f, &h)
			return h, events, err
		},
	}, "lease")
}

// faultsInSecret are what Claim does with heads that are shown as they should be.
func faultsInSecret() map[string]finding {
	appended := func(change func(h *durable.Head, ttl *time.Duration)) finding {
		return secretly(func(created bool, h *durable.Head, ttl *time.Duration) {
			if !created {
				change(h, ttl)
			}
		}, nil)
	}
	in := func(f finding, must string) finding {
		f.must = []string{must}
		return f
	}
	nothing := func(bool, *durable.Head, *time.Duration) {}
	return map[string]finding{
		"renews nothing": appended(func(_ *durable.Head, ttl *time.Duration) { *ttl = min(*ttl, 0) }),
		"0 releases": appended(func(h *durable.Head, ttl *time.Duration) {
			if *ttl == 0 {
				h.Owner = ""
			}
		}),
		"0 renews": appended(func(_ *durable.Head, ttl *time.Duration) {
			if *ttl == 0 {
				*ttl = time.Minute
			}
		}),
		"0 ends what is endless": func() finding {
			endless := make(map[string]bool)
			return secretly(func(_ bool, h *durable.Head, ttl *time.Duration) {
				if *ttl == 0 && endless[h.ID] {
					*ttl = 400 * time.Millisecond
				}
				endless[h.ID] = *ttl < 0
			}, nil)
		}(),
		"releases nothing": appended(func(h *durable.Head, ttl *time.Duration) {
			if h.Owner == "" {
				h.Owner, *ttl = "me", -1
			}
		}),
		"releases nothing if there is a ttl": appended(func(h *durable.Head, ttl *time.Duration) {
			if h.Owner == "" && *ttl > 0 {
				h.Owner = "me"
			}
		}),
		"creates with a lease of nobody": secretly(func(created bool, h *durable.Head, ttl *time.Duration) {
			if created && h.Owner == "" && *ttl > 0 {
				h.Owner = "me"
			}
		}, nil),
		"endless are short": secretly(func(_ bool, _ *durable.Head, ttl *time.Duration) {
			if *ttl < 0 {
				*ttl = 400 * time.Millisecond
			}
		}, nil),
		"endless stay so": func() finding {
			endless := false
			return secretly(func(_ bool, h *durable.Head, ttl *time.Duration) {
				if endless = endless || *ttl < 0; endless && h.Owner != "" {
					*ttl = -1
				}
			}, nil)
		}(),
		"a year is nothing": secretly(func(_ bool, _ *durable.Head, ttl *time.Duration) {
			if *ttl > 300*24*time.Hour {
				*ttl = 1
			}
		}, nil),
		"claims for ever, but not for long": secretly(nothing, func(ttl time.Duration) time.Duration {
			if ttl < 0 {
				return 1
			}
			return ttl
		}),
		"claims for ever":         secretly(nothing, func(time.Duration) time.Duration { return -1 }),
		"wakes as it was created": in(appended(func(h *durable.Head, _ *time.Duration) { h.WakeAt = time.Time{} }), "claim"),
		"wakes what should not": in(appended(func(h *durable.Head, _ *time.Duration) {
			if h.WakeAt.IsZero() {
				h.WakeAt = time.Unix(1, 0)
			}
		}), "claim"),
		"goes on with what has ended": in(appended(func(h *durable.Head, _ *time.Duration) { h.Status = saga.Running }), "claim"),
		"wakes what sleeps when its lease is over": in(secretly(func(_ bool, h *durable.Head, _ *time.Duration) {
			if h.Owner == "you" {
				h.WakeAt = time.Unix(1, 0)
			}
		}, nil), "next"),
	}
}
