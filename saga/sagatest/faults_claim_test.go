package sagatest_test

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// faultsOfLeases are what may be wrong with leases.
func faultsOfLeases() map[string]finding {
	ttls := func(change func(h *durable.Head, ttl *time.Duration), must ...string) finding {
		return found(writing(func(h *durable.Head, ttl *time.Duration, _ *[][]byte) {
			if h.Owner != "clock" { // by which the suite reads the clock
				change(h, ttl)
			}
		}), must...)
	}
	claims := func(change func(req *durable.ClaimRequest), must ...string) finding {
		return found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			change(&req)
			return f.MemoryStore.Claim(ctx, req)
		}), must...)
	}
	zero := func(change func(h *durable.Head, ttl *time.Duration)) finding {
		return found(leasing(func(h *durable.Head, ttl *time.Duration) {
			if *ttl == 0 {
				change(h, ttl)
			}
		}), "lease")
	}
	// off is a lease that ends at another time than it tells, if Claim gives it or
	// others do.
	off := func(d time.Duration, claimed bool) finding {
		f := writing(func(h *durable.Head, ttl *time.Duration, _ *[][]byte) {
			if *ttl > 0 && h.Owner == "me" && !claimed {
				*ttl += d
			}
		})
		r := reading(func(h *durable.Head) {
			if !h.LeaseUntil.IsZero() && h.Owner != "clock" && (h.Owner == "me") != claimed {
				h.LeaseUntil = h.LeaseUntil.Add(-d)
			}
		})
		if claimed {
			f, right := fault{}, r.claim
			f.claim = func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
				if req.TTL > 0 && req.Owner != "me" {
					req.TTL += d
				}
				return right(ctx, f, req)
			}
			return found(both(f, r), "lease")
		}
		return found(both(f, r), "lease")
	}
	return map[string]finding{
		"end early":          off(-100*time.Millisecond, false),
		"end late":           off(100*time.Millisecond, false),
		"by Claim end early": off(-100*time.Millisecond, true),
		"by Claim end late":  off(100*time.Millisecond, true),
		"no leases":          ttls(func(h *durable.Head, _ *time.Duration) { h.Owner = "" }, "lease", "next"),
		"all are endless":    ttls(func(_ *durable.Head, ttl *time.Duration) { *ttl = min(*ttl, -1) }, "lease", "next"),
		"half as long":       ttls(func(_ *durable.Head, ttl *time.Duration) { *ttl /= 2 }, "lease"),
		"twice as long":      ttls(func(_ *durable.Head, ttl *time.Duration) { *ttl *= 2 }, "lease"),
		"whole seconds":      ttls(func(_ *durable.Head, ttl *time.Duration) { *ttl = ttl.Truncate(time.Second) }, "lease"),
		"negative is 0":      ttls(func(_ *durable.Head, ttl *time.Duration) { *ttl = max(*ttl, 0) }, "lease", "next"),
		"endless for 0.4s": ttls(func(_ *durable.Head, ttl *time.Duration) {
			if *ttl < 0 {
				*ttl = 400 * time.Millisecond
			}
		}, "lease", "next"),
		"years are nothing": ttls(func(_ *durable.Head, ttl *time.Duration) {
			if *ttl > 100*365*24*time.Hour {
				*ttl = 1
			}
		}, "lease"),
		"renews nothing":   found(leasing(func(_ *durable.Head, ttl *time.Duration) { *ttl = min(*ttl, 0) }), "lease", "next"),
		"0 renews":         zero(func(_ *durable.Head, ttl *time.Duration) { *ttl = time.Minute }),
		"0 is endless":     zero(func(_ *durable.Head, ttl *time.Duration) { *ttl = -1 }),
		"0 releases":       zero(func(h *durable.Head, _ *time.Duration) { h.Owner = "" }),
		"only 0 is left":   found(leasing(func(_ *durable.Head, ttl *time.Duration) { *ttl = 0 }), "lease"),
		"releases nothing": found(leasing(func(h *durable.Head, _ *time.Duration) { h.Owner = cmp.Or(h.Owner, "somebody") }), "lease"),
		"a ttl needs nobody": ttls(func(h *durable.Head, ttl *time.Duration) {
			if *ttl > 0 {
				h.Owner = cmp.Or(h.Owner, "somebody")
			}
		}, "lease"),
		"tells the LeaseUntil that is passed": found(fault{
			create: func(ctx context.Context, f *faulty, h durable.Head, ttl time.Duration, events [][]byte) error {
				f.locked(func() { f.heads[h.ID] = h })
				return f.MemoryStore.Create(ctx, h, ttl, events)
			},
			load: func(ctx context.Context, f *faulty, id string) (durable.Head, [][]byte, error) {
				h, events, err := f.MemoryStore.Load(ctx, id)
				f.locked(func() {
					if passed := f.heads[id].LeaseUntil; !passed.IsZero() {
						h.LeaseUntil = passed
					}
				})
				return h, events, err
			},
		}, "lease"),
		"claims for nothing":  claims(func(req *durable.ClaimRequest) { req.TTL = 1 }, "lease", "claim"),
		"claims for ever":     claims(func(req *durable.ClaimRequest) { req.TTL = -1 }, "lease", "claim", "next"),
		"claims for 1s":       claims(func(req *durable.ClaimRequest) { req.TTL = max(req.TTL, time.Second) }, "lease", "next"),
		"claims for somebody": claims(func(req *durable.ClaimRequest) { req.Owner = "somebody" }, "lease", "claim", "exclusive", "names", "list"),
		"leases end in Append": found(fault{append: func(ctx context.Context, f *faulty, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
			if old, _, _ := f.MemoryStore.Load(ctx, h.ID); ttl > 0 && !old.LeaseUntil.IsZero() {
				ttl += time.Until(old.LeaseUntil) // adds to what is left
			}
			return f.MemoryStore.Append(ctx, at, h, ttl, events)
		}}, "lease"),
	}
}

// faultsOfClaim are what Claim may do wrong.
func faultsOfClaim() map[string]finding {
	asking := func(change func(f *faulty, req *durable.ClaimRequest), must ...string) finding {
		return found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			change(f, &req)
			return f.MemoryStore.Claim(ctx, req)
		}), must...)
	}
	giving := func(change func(ctx context.Context, f *faulty, req durable.ClaimRequest, heads []durable.Head) []durable.Head, must ...string) finding {
		return found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			if err == nil {
				heads = change(ctx, f, req, heads)
			}
			return heads, next, err
		}), must...)
	}
	without := func(status saga.Status) finding {
		return giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			return slices.DeleteFunc(heads, func(h durable.Head) bool { return h.Status == status })
		}, "claim")
	}
	with := func(want func(h durable.Head) bool, must ...string) finding {
		return giving(func(ctx context.Context, f *faulty, req durable.ClaimRequest, heads []durable.Head) []durable.Head {
			all, _, _ := f.MemoryStore.List(ctx, durable.Query{Limit: 1000})
			for _, h := range all {
				if len(heads) < req.Limit && slices.Contains(req.Sagas, h.Saga) && want(h) {
					heads = append(heads, h)
				}
			}
			return heads
		}, must...)
	}
	known := func(f *faulty) []string {
		all, _, _ := f.MemoryStore.List(context.Background(), durable.Query{Limit: 1000})
		var sagas []string
		for _, h := range all {
			sagas = append(sagas, h.Saga)
		}
		return sagas
	}
	shifted := func(d time.Duration) func(h *durable.Head) {
		return func(h *durable.Head) {
			if !h.WakeAt.IsZero() {
				h.WakeAt = h.WakeAt.Add(d)
			}
		}
	}
	earlier := shifted(-100 * time.Millisecond)
	early := writing(func(h *durable.Head, _ *time.Duration, _ *[][]byte) { earlier(h) })
	return map[string]finding{
		"claims no running":      without(saga.Running),
		"claims no waiting":      without(saga.Waiting),
		"claims no compensating": without(saga.Compensating),
		"claims stuck":           with(func(h durable.Head) bool { return h.Status == saga.Stuck }, "claim"),
		"claims ended":           with(func(h durable.Head) bool { return h.Status.Ended() }, "claim"),
		"claims without WakeAt":  with(func(h durable.Head) bool { return h.Status == saga.Waiting && h.WakeAt.IsZero() }, "claim", "next"),
		"claims what sleeps":     with(func(h durable.Head) bool { return h.WakeAt.After(time.Now()) }, "claim"),
		"claims what is leased":  with(func(h durable.Head) bool { return h.Owner != "" && h.Owner != "me" }, "lease", "exclusive", "next"),
		"claims early":           found(both(reading(shifted(100*time.Millisecond)), early), "claim", "next"),
		"no Limit":               asking(func(_ *faulty, req *durable.ClaimRequest) { req.Limit = 1000 }, "claim", "exclusive", "next"),
		"one beyond Limit":       asking(func(_ *faulty, req *durable.ClaimRequest) { req.Limit++ }, "claim", "exclusive", "next"),
		"Limit 0 is none": asking(func(_ *faulty, req *durable.ClaimRequest) {
			if req.Limit == 0 {
				req.Limit = 100
			}
		}, "claim", "next"),
		"one at a time is enough": asking(func(_ *faulty, req *durable.ClaimRequest) { req.Limit = min(req.Limit, 1) }, "claim"),
		"no saga is any": asking(func(f *faulty, req *durable.ClaimRequest) {
			if len(req.Sagas) == 0 {
				req.Sagas = known(f)
			}
		}, "claim"),
		"any saga":       asking(func(f *faulty, req *durable.ClaimRequest) { req.Sagas = known(f) }, "claim", "next"),
		"one saga":       asking(func(_ *faulty, req *durable.ClaimRequest) { req.Sagas = req.Sagas[:min(1, len(req.Sagas))] }, "claim"),
		"no saga at all": asking(func(_ *faulty, req *durable.ClaimRequest) { req.Sagas = nil }, "claim", "next", "exclusive", "lease"),
		"sagas by prefix": asking(func(f *faulty, req *durable.ClaimRequest) {
			var sagas []string
			for _, name := range known(f) {
				if slices.ContainsFunc(req.Sagas, func(prefix string) bool { return strings.HasPrefix(name, prefix) }) {
					sagas = append(sagas, name)
				}
			}
			req.Sagas = sagas
		}, "claim", "names"),
		"latest first": giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			slices.Reverse(heads)
			return heads
		}, "claim"),
		"in no order": giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			slices.SortFunc(heads, func(a, b durable.Head) int {
				return strings.Compare(a.Step+a.Fingerprint+a.ID, b.Step+b.Fingerprint+b.ID)
			})
			return heads
		}, "claim"),
		"saga by saga": found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
			for _, name := range req.Sagas {
				one := req
				one.Sagas, one.Limit = []string{name}, req.Limit-len(heads)
				some, n, err := f.MemoryStore.Claim(ctx, one)
				if err != nil {
					return heads, -1, err
				}
				heads, next = append(heads, some...), n
			}
			return heads, next, nil
		}), "claim"),
		"returns heads as they were": giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			for i := range heads {
				heads[i].Rev--
				heads[i].Epoch--
			}
			return heads
		}, "claim"),
		"returns heads without Owner": giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			for i := range heads {
				heads[i].Owner = ""
			}
			return heads
		}, "claim", "lease"),
		"returns heads without labels": giving(func(_ context.Context, _ *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			for i := range heads {
				heads[i].Labels = nil
			}
			return heads
		}, "claim"),
		"takes more than it gives": giving(func(ctx context.Context, f *faulty, req durable.ClaimRequest, heads []durable.Head) []durable.Head {
			_, _, _ = f.MemoryStore.Claim(ctx, req)
			return heads
		}, "claim", "exclusive"),
		"adds an event": giving(func(ctx context.Context, f *faulty, _ durable.ClaimRequest, heads []durable.Head) []durable.Head {
			for i, h := range heads {
				_ = f.MemoryStore.Append(ctx, h.Rev, h, 0, [][]byte{[]byte("claimed")})
				heads[i].Rev++
			}
			return heads
		}, "claim"),
		"gives to two at once": found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			f.locked(func() {
				if f.calls++; f.calls%5 == 0 && len(heads) == 0 {
					heads = append(heads, f.more[:min(len(f.more), req.Limit)]...)
				}
				if len(heads) > 0 {
					f.more = heads
				}
			})
			time.Sleep(time.Millisecond)
			return heads, next, err
		}), "exclusive"),
		"looks, then claims": found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) (heads []durable.Head, next time.Duration, err error) {
			all, _, err := f.MemoryStore.List(ctx, durable.Query{Limit: 1000})
			time.Sleep(time.Millisecond)
			for _, h := range all {
				if len(heads) < req.Limit && h.Owner == "" && !h.WakeAt.IsZero() {
					h.Owner = req.Owner
					now, _, _ := f.MemoryStore.Load(ctx, h.ID)
					_ = f.MemoryStore.Append(ctx, now.Rev, h, req.TTL, nil)
					heads = append(heads, h)
				}
			}
			return heads, -1, err
		}), "exclusive"),
		"Claim fails": found(claiming(func(context.Context, *faulty, durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			return nil, 0, context.DeadlineExceeded
		}), "claim", "lease", "exclusive", "next", "names", "list", "delete", "watch"),
	}
}

// faultsOfNext tell another time than that of the next run.
func faultsOfNext() map[string]finding {
	// some changes what Claim tells if it is of a kind.
	some := func(kind func(next time.Duration) bool, change func(next time.Duration) time.Duration) finding {
		return found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, next, err := f.MemoryStore.Claim(ctx, req)
			if kind(next) {
				next = change(next)
			}
			return heads, next, err
		}), "next")
	}
	always := func(to time.Duration) func(time.Duration) time.Duration {
		return func(time.Duration) time.Duration { return to }
	}
	later := func(next time.Duration) bool { return next > 0 }
	now := func(next time.Duration) bool { return next == 0 }
	never := func(next time.Duration) bool { return next < 0 }
	return map[string]finding{
		"later is at once":    some(later, always(0)),
		"later is in 1ms":     some(later, always(time.Millisecond)),
		"later is never":      some(later, always(-1)),
		"later is an hour":    some(later, always(time.Hour)),
		"a bit late":          some(later, func(next time.Duration) time.Duration { return next + next/10 }),
		"seconds, rounded":    some(later, func(next time.Duration) time.Duration { return (next + time.Second).Truncate(time.Second) }),
		"now is never":        some(now, always(-1)),
		"now is in 1s":        some(now, always(time.Second)),
		"never is at once":    some(never, always(0)),
		"never is in a while": some(never, always(time.Hour)),
		"of all sagas": found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, _, err := f.MemoryStore.Claim(ctx, req)
			all, _, _ := f.MemoryStore.List(ctx, durable.Query{Limit: 1000})
			for _, h := range all {
				req.Sagas = append(req.Sagas, h.Saga)
			}
			req.Limit = 0
			_, next, _ := f.MemoryStore.Claim(ctx, req)
			return heads, next, err
		}), "next"),
		"without leases": found(claiming(func(ctx context.Context, f *faulty, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
			heads, _, err := f.MemoryStore.Claim(ctx, req)
			all, _, _ := f.MemoryStore.List(ctx, durable.Query{Limit: 1000})
			next := time.Duration(-1)
			for _, h := range all {
				if rest := time.Until(h.WakeAt); h.Owner == "" && !h.WakeAt.IsZero() && slices.Contains(req.Sagas, h.Saga) && h.Status != saga.Stuck {
					if next < 0 || rest < next {
						next = max(rest, 0)
					}
				}
			}
			return heads, next, err
		}), "next"),
	}
}
