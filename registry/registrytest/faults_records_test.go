package registrytest_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

func faultsOfRemove() map[string]finding {
	return map[string]finding{
		"remove does nothing": {fault: fault{remove: func(ctx context.Context, _ *faulty, _ registry.Ref) error {
			return context.Cause(ctx)
		}}, must: []string{"again", "names", "concurrent", "busy", "remove", "owner"}},
		"remove fails for the unknown": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			if r.ID == "never there" {
				return errors.New("not found")
			}
			return f.Backend.Remove(ctx, r)
		}}, must: []string{"remove"}},
		"remove twice fails": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			f.mu.Lock()
			_, gone := f.state[r]
			f.state[r] = registry.Record{}
			f.mu.Unlock()
			if gone {
				return errors.New("not found")
			}
			return f.Backend.Remove(ctx, r)
		}}, must: []string{"remove", "order"}},
		"removes what others put": {fault: fault{oneOwner: true}, must: []string{"owner"}},
		"removes what others replaced": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			if r.ID == "first a then b" && f.puts == 2 { // a's: b has put three
				_ = f.Backend.Put(ctx, registry.Record{Instance: registry.Instance{Service: r.Service, ID: r.ID}})
			}
			return f.Backend.Remove(ctx, r)
		}}, must: []string{"owner"}},
		"remove ignores the context": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			return f.Backend.Remove(context.WithoutCancel(ctx), r)
		}}, must: []string{"ended"}},
		"removes in spite of the context": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			_ = f.Backend.Remove(context.WithoutCancel(ctx), r)
			return context.Cause(ctx)
		}}, must: []string{"ended"}},
		"removes the prefix": {fault: fault{remove: func(ctx context.Context, f *faulty, r registry.Ref) error {
			r.ID = strings.TrimSuffix(r.ID, "b")
			return f.Backend.Remove(ctx, r)
		}}, must: []string{"names"}, may: []string{"owner"}},
	}
}

// faultsOfRecords are found by the checks that look at the field, and no other.
func faultsOfRecords() map[string]finding {
	field := func(change func(*registry.Record), also ...string) finding {
		return finding{fault: changing(change), must: append([]string{"fields"}, also...)}
	}
	return map[string]finding{
		"loses Owner":            field(func(r *registry.Record) { r.Owner = "" }, "replace"),
		"loses Health":           field(func(r *registry.Record) { r.Health = 0 }, "replace"),
		"loses Draining":         field(func(r *registry.Record) { r.Health = min(r.Health, registry.Critical) }, "replace"),
		"loses Addr":             field(func(r *registry.Record) { r.Instance.Addr = r.Instance.ID }, "replace"),
		"loses Scheme":           field(func(r *registry.Record) { r.Instance.Scheme = "" }),
		"loses ServerName":       field(func(r *registry.Record) { r.Instance.ServerName = "" }),
		"loses Version":          {fault: changing(func(r *registry.Record) { r.Instance.Version = "" }), must: without("concurrent")},
		"loses Zone":             field(func(r *registry.Record) { r.Instance.Zone = "" }),
		"loses Weight":           field(func(r *registry.Record) { r.Instance.Weight = 0 }, "replace"),
		"weight is not negative": field(func(r *registry.Record) { r.Instance.Weight = max(0, r.Instance.Weight) }),
		"rounds TTL":             field(func(r *registry.Record) { r.Instance.TTL = r.Instance.TTL.Round(time.Millisecond) }),
		"loses Tags":             field(func(r *registry.Record) { r.Instance.Tags = nil }, "replace"),
		"splits Tags": field(func(r *registry.Record) {
			if len(r.Instance.Tags) > 0 {
				r.Instance.Tags = strings.Split(strings.Join(r.Instance.Tags, ","), ",")
			}
		}),
		"loses Meta": field(func(r *registry.Record) { r.Instance.Meta = nil }, "replace"),
		"loses empty Meta": field(func(r *registry.Record) {
			maps.DeleteFunc(r.Instance.Meta, func(_, v string) bool { return v == "" })
		}),
		"cuts long values": field(func(r *registry.Record) {
			for k, v := range r.Instance.Meta {
				r.Instance.Meta[k] = v[:min(len(v), 4096)]
			}
		}),
		"mixes with the old Meta": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			f.mu.Lock()
			r := registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}
			if old := f.state[r].Instance.Meta; rec.Instance.Meta == nil && old != nil {
				rec.Instance.Meta = old
			}
			f.state[r] = rec
			f.mu.Unlock()
			return f.Backend.Put(ctx, rec)
		}}, must: []string{"replace"}},
		"folds case":      {fault: renaming(strings.ToLower), must: []string{"names"}},
		"cleans paths":    {fault: renaming(func(id string) string { return strings.ReplaceAll(id, "../", "") }), must: []string{"names"}},
		"escapes no more": {fault: renaming(func(id string) string { return strings.ReplaceAll(id, "%2F", "/") }), must: []string{"names"}},
		"cuts long names": {fault: renaming(func(id string) string { return id[:min(len(id), 255)] }), must: []string{"names"}},
		"joins names with dots": {fault: changing(func(r *registry.Record) {
			service, id, _ := strings.Cut(r.Instance.Service+"."+r.Instance.ID, ".")
			r.Instance.Service, r.Instance.ID = service, id
		}), must: []string{"names"}},
		"normalises names": {fault: renaming(func(id string) string { return strings.ReplaceAll(id, "e\u0301", "\u00e9") }), must: []string{"names"}},
	}
}
