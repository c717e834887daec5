package registrytest_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registrytest"
)

// A finding is a fault with the checks that have to fail and those that may.
type finding struct {
	fault
	must, may []string
	races     bool // by its very nature, which the race detector does not suffer
}

// changing changes every record on its way to the origin.
func changing(change func(*registry.Record)) fault {
	return fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
		change(&rec)
		return f.Backend.Put(ctx, rec)
	}}
}

// delivering changes every batch.
func delivering(change func(*registry.Batch)) fault {
	return fault{deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
		change(&b)
		return deliver(b)
	}}
}

// renaming has names of instances fold into each other.
func renaming(rename func(string) string) fault {
	return fault{
		put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			rec.Instance.ID = rename(rec.Instance.ID)
			return f.Backend.Put(ctx, rec)
		},
		remove: func(ctx context.Context, f *faulty, ref registry.Ref) error {
			ref.ID = rename(ref.ID)
			return f.Backend.Remove(ctx, ref)
		},
	}
}

// without is everyone but one.
func without(check string) []string {
	return slices.DeleteFunc(everyone(), func(other string) bool { return other == check })
}

// faults are what a backend may do wrong.
func faults() map[string]finding {
	all := make(map[string]finding)
	for _, some := range []map[string]finding{faultsOfRun(), faultsOfPut(), faultsOfRemove(), faultsOfRecords()} {
		maps.Copy(all, some)
	}
	return all
}

func faultsOfRun() map[string]finding {
	return map[string]finding{
		"delivers nothing": {fault: fault{run: func(ctx context.Context, _ *registrytest.Backend, _ func(registry.Batch) error) error {
			<-ctx.Done()
			return context.Cause(ctx)
		}}, must: everyone()},
		"always fails": {fault: fault{run: func(context.Context, *registrytest.Backend, func(registry.Batch) error) error {
			return errors.New("connection refused")
		}}, must: everyone()},
		"is over at once": {fault: fault{run: func(context.Context, *registrytest.Backend, func(registry.Batch) error) error {
			return nil
		}}, must: everyone()},
		"no Reset": {fault: delivering(func(b *registry.Batch) { b.Reset = false }), must: everyone()},
		"an empty Reset first": {fault: fault{deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			if b.Reset {
				_ = deliver(registry.Batch{Reset: true})
			}
			return deliver(b)
		}}, must: []string{"reset", "replace", "busy", "order", "remove", "owner", "ended", "expiry"}},
		"no empty batch": {fault: fault{deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			if len(b.Put)+len(b.Remove) == 0 {
				return nil
			}
			return deliver(b)
		}}, must: []string{"reset"}, may: everyone()},
		"batches are small Resets": {
			fault: delivering(func(b *registry.Batch) { b.Reset = true }),
			must:  []string{"fields", "names"}, may: everyone(),
		},
		"a Reset that only adds": {fault: fault{deliver: func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			_ = f.whole(b)
			b.Reset = b.Reset && f.resets == 1
			return deliver(b)
		}}, must: []string{"again"}},
		"no removals": {
			fault: delivering(func(b *registry.Batch) { b.Remove = nil }),
			must:  []string{"names", "remove", "owner", "busy", "expiry"}, may: []string{"concurrent"},
		},
		"no removals when it is busy": {fault: fault{deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			if len(b.Put) > 0 {
				b.Remove = nil
			}
			return deliver(b)
		}}, must: []string{"busy"}, may: everyone()},
		"snapshots only": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			return b.Run(ctx, func(batch registry.Batch) error {
				if batch.Reset {
					return deliver(batch)
				}
				return nil
			})
		}}, must: []string{"fields", "names", "replace", "order", "concurrent", "busy", "refused", "remove", "expiry"}, may: []string{"owner"}},
		"an ID twice in a batch": {fault: delivering(func(b *registry.Batch) { b.Put = append(b.Put, b.Put...) }), must: everyone()},
		"two goroutines deliver": {fault: fault{deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			var wg sync.WaitGroup
			for _, rec := range b.Put {
				wg.Go(func() { _ = deliver(registry.Batch{Put: []registry.Record{rec}}) })
			}
			b.Put = nil
			err := deliver(b)
			wg.Wait()
			return err
		}}, must: []string{"concurrent"}, may: everyone()},
		"out of order": {fault: fault{deliver: func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			_ = f.whole(b)
			late := slices.DeleteFunc(slices.Clone(b.Put), func(rec registry.Record) bool { return !strings.HasSuffix(rec.Instance.Version, "50") })
			if len(late) > 0 {
				time.AfterFunc(10*time.Millisecond, func() { _ = deliver(registry.Batch{Put: late}) })
				return nil
			}
			return deliver(b)
		}, put: slow}, must: []string{"order"}},
		"is over when a record is refused": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			on, cancel := context.WithCancel(ctx)
			defer cancel()
			err := b.Run(on, func(batch registry.Batch) error {
				if deliver(batch) != nil {
					cancel()
				}
				return nil
			})
			if ctx.Err() == nil && on.Err() != nil {
				return nil
			}
			return err
		}}, must: []string{"refused"}},
		"fails when a record is refused": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			ctx, cancel := context.WithCancelCause(ctx)
			defer cancel(nil)
			return b.Run(ctx, func(batch registry.Batch) error {
				if err := deliver(batch); err != nil {
					cancel(err)
				}
				return nil
			})
		}}, must: []string{"refused"}},
		"does not end": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			err := b.Run(ctx, deliver)
			time.Sleep(time.Minute)
			return err
		}}, must: everyone()},
		"does not look at a context that has ended": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			if ctx.Err() != nil {
				time.Sleep(time.Minute)
			}
			return b.Run(ctx, deliver)
		}}, must: []string{"ended"}},
		"goes on after the end": {fault: fault{run: func(ctx context.Context, b *registrytest.Backend, deliver func(registry.Batch) error) error {
			on, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Hour)
			go func() {
				defer cancel()
				_ = b.Run(on, deliver)
			}()
			<-ctx.Done()
			return context.Cause(ctx)
		}}, must: []string{"ended"}, may: everyone()},
	}
}

// slow lets every Put arrive before the next one.
func slow(ctx context.Context, f *faulty, rec registry.Record) error {
	err := f.Backend.Put(ctx, rec)
	time.Sleep(time.Millisecond)
	return err
}

func faultsOfPut() map[string]finding {
	return map[string]finding{
		"fails": {fault: fault{put: func(context.Context, *faulty, registry.Record) error {
			return errors.New("read-only")
		}}, must: everyone()},
		"does nothing": {fault: fault{put: func(ctx context.Context, _ *faulty, _ registry.Record) error {
			return context.Cause(ctx)
		}}, must: everyone()},
		"stays at home": {fault: fault{alone: true}, must: without("refused")},
		"only creates": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			f.mu.Lock()
			r := registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}
			_, there := f.state[r]
			f.state[r] = rec
			f.mu.Unlock()
			if there {
				return nil
			}
			return f.Backend.Put(ctx, rec)
		}}, must: []string{"again", "replace", "order", "refused", "expiry", "remove"}, may: []string{"ended"}},
		"loses some": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			if f.puts%7 == 0 {
				return nil
			}
			return f.Backend.Put(ctx, rec)
		}}, must: []string{"fields", "names", "concurrent"}, may: []string{"order", "expiry"}},
		"waits for deliver": {fault: waiting(), must: []string{"busy"}},
		"is late":           {fault: later(), must: []string{"reset", "busy"}, may: everyone()},
		"ignores the context": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			return f.Backend.Put(context.WithoutCancel(ctx), rec)
		}}, must: []string{"ended"}},
		"tells the context's error": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return f.Backend.Put(ctx, rec)
		}}, must: []string{"ended"}},
		"puts in spite of the context": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			_ = f.Backend.Put(context.WithoutCancel(ctx), rec)
			return context.Cause(ctx)
		}}, must: []string{"ended"}},
		"keeps the caller's slices": {fault: keeping(), must: []string{"fields"}, may: everyone(), races: true},
		"does not expire":           {fault: changing(func(rec *registry.Record) { rec.Instance.TTL = 0 }), must: []string{"fields", "expiry", "replace"}},
		"expires early":             {fault: scaling(0.5), must: []string{"expiry"}},
		"expires at once":           {fault: scaling(0.1), must: []string{"expiry"}},
		"does not renew": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			f.mu.Lock()
			r := registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}
			same := f.state[r].Instance.Version == rec.Instance.Version && f.state[r].Instance.TTL > 0
			f.state[r] = rec
			f.mu.Unlock()
			if same && rec.Instance.TTL < time.Second {
				return nil
			}
			return f.Backend.Put(ctx, rec)
		}}, must: []string{"expiry"}},
		"expires all": {fault: changing(func(rec *registry.Record) {
			if rec.Instance.TTL == 0 {
				rec.Instance.TTL = time.Second
			}
		}), must: []string{"expiry"}},
		"leaves a gap when it renews": {fault: fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			err := f.Backend.Remove(ctx, registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID})
			time.Sleep(time.Millisecond)
			return errors.Join(err, f.Backend.Put(ctx, rec))
		}}, must: []string{"expiry"}, may: []string{"busy"}},
	}
}

// keeping delivers the caller's own records.
func keeping() fault {
	var mu sync.Mutex
	given := make(map[registry.Ref]registry.Record)
	return fault{
		put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			mu.Lock()
			given[registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}] = rec
			mu.Unlock()
			return f.Backend.Put(ctx, rec)
		},
		deliver: func(_ *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			time.Sleep(time.Second)
			mu.Lock()
			for i, rec := range b.Put {
				b.Put[i] = given[registry.Ref{Service: rec.Instance.Service, ID: rec.Instance.ID}]
			}
			mu.Unlock()
			return deliver(b)
		},
	}
}

// scaling has TTLs of less than a second pass too soon, though they are told as
// they are.
func scaling(by float64) fault {
	return fault{
		put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			if rec.Instance.TTL > 0 && rec.Instance.TTL < time.Second {
				rec.Instance.TTL = time.Duration(float64(rec.Instance.TTL) * by)
			}
			return f.Backend.Put(ctx, rec)
		},
	}
}

// waiting has one goroutine at a time in the backend.
func waiting() fault {
	var mu sync.Mutex
	busy := make(map[*faulty]chan struct{})
	lock := func(f *faulty) chan struct{} {
		mu.Lock()
		defer mu.Unlock()
		if busy[f] == nil {
			busy[f] = make(chan struct{}, 1)
		}
		return busy[f]
	}
	return fault{
		put: func(ctx context.Context, f *faulty, rec registry.Record) error {
			select {
			case lock(f) <- struct{}{}:
				defer func() { <-lock(f) }()
				return f.Backend.Put(ctx, rec)
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
		deliver: func(f *faulty, b registry.Batch, deliver func(registry.Batch) error) error {
			lock(f) <- struct{}{}
			defer func() { <-lock(f) }()
			return deliver(b)
		},
	}
}

// later has Put return before others can see the record.
func later() fault {
	return fault{put: func(ctx context.Context, f *faulty, rec registry.Record) error {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		time.AfterFunc(time.Millisecond, func() { _ = f.Backend.Put(context.WithoutCancel(ctx), rec) })
		return nil
	}}
}
