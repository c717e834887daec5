package registrytest

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// checkOrder wants the changes of one instance to arrive in their order, of which
// some may be left out.
func checkOrder(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	const n = 100
	for i := range n {
		a.put(a.record("x", strconv.Itoa(1000+i)))
		if i%10 == 5 {
			a.remove(o.ref("x"))
		}
	}
	for _, p := range []*process{a, b} {
		p.awaitVersion(o.ref("x"), strconv.Itoa(1000+n-1))
		p.mu.Lock()
		if !slices.IsSorted(p.versions) {
			tb.Errorf("registrytest: %s: changes of one instance have arrived in another order: %v", p.owner, p.versions)
		}
		p.mu.Unlock()
	}
	o.expect(map[string]string{"x": strconv.Itoa(1000 + n - 1)})
}

// checkConcurrent wants nothing to be lost or delivered twice at a time when
// several processes put while all follow and take their time.
func checkConcurrent(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	const n = 50
	putters := []*process{o.join(), o.join(), o.join()}
	for _, p := range putters {
		p.answer = func() error {
			pause(context.Background(), time.Millisecond)
			return nil
		}
		p.follow()
	}
	var wg sync.WaitGroup
	for _, p := range putters {
		wg.Go(func() {
			ctx, free := bounded()
			defer free()
			for i := range n {
				rec := p.record(p.owner+"/"+strconv.Itoa(i), "1")
				err := p.backend.Put(ctx, rec)
				if err == nil && i%5 == 4 {
					err = p.backend.Remove(ctx, refOf(rec))
				}
				if err != nil {
					tb.Errorf("registrytest: %s: Put or Remove of %q: %v", p.owner, rec.Instance.ID, err)
					return
				}
			}
		})
	}
	wg.Wait()
	want := make(map[registry.Ref]bool)
	for _, p := range putters {
		for i := range n {
			if i%5 != 4 {
				want[o.ref(p.owner+"/"+strconv.Itoa(i))] = true
			}
		}
	}
	for _, p := range putters {
		p.await(fmt.Sprintf("the %d records of all arrive, and no other", len(want)), func(known map[registry.Ref]registry.Record) bool {
			return maps.EqualFunc(known, want, func(registry.Record, bool) bool { return true })
		})
	}
}

// checkBusy wants Put and Remove to work while deliver does: a registry that
// takes its time must not lose what it has registered.
func checkBusy(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a := o.join()
	leave := make(chan struct{})
	var release sync.Once
	defer release.Do(func() { close(leave) })
	a.answer = func() error {
		<-leave
		return nil
	}
	a.put(a.record("x", "1"))
	a.follow()
	a.put(a.record("y", "1"))
	a.remove(o.ref("x"))
	o.expect(map[string]string{"y": "1"})
	release.Do(func() { close(leave) })
	a.awaitVersion(o.ref("y"), "1")
	a.awaitGone("Remove", o.ref("x"))
}

// checkRefused wants Run to go on when deliver reports records that were refused.
func checkRefused(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a := o.join()
	a.answer = func() error { return errors.New("registrytest: a record was refused on purpose") }
	a.follow()
	for _, version := range []string{"1", "2", "3"} {
		a.put(a.record("x", version))
		a.awaitVersion(o.ref("x"), version)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.runs > 1 {
		tb.Errorf("registrytest: %s: Run has ended because deliver reported a record that was refused", a.owner)
	}
}

// checkRemove wants Remove to arrive, and to be no error when nothing is there.
func checkRemove(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	a.remove(o.ref("never there"))
	for _, version := range []string{"1", "2"} {
		a.put(a.record("x", version))
		a.put(a.record("y", version))
		b.awaitVersion(o.ref("x"), version)
		a.remove(o.ref("x"))
		a.remove(o.ref("x"))
		a.awaitGone("Remove", o.ref("x"))
		b.awaitGone("Remove", o.ref("x"))
		o.expect(map[string]string{"y": version})
	}
}

// checkOwner wants Remove to leave alone what another process put, also if this
// process had put it before.
func checkOwner(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	b.follow()
	b.put(b.record("of b", "1"))
	a.put(a.record("first a then b", "1"))
	b.put(b.record("first a then b", "2"))
	b.put(b.record("first b then a", "1"))
	a.put(a.record("first b then a", "2"))
	b.awaitVersion(o.ref("first a then b"), "2")
	b.awaitVersion(o.ref("first b then a"), "2")
	for _, id := range []string{"of b", "first a then b", "first b then a"} {
		a.remove(o.ref(id))
	}
	b.awaitVersion(o.ref("of b"), "1")
	b.awaitVersion(o.ref("first a then b"), "2")
	b.awaitGone("Remove", o.ref("first b then a"))
	o.expect(map[string]string{"of b": "1", "first a then b": "2"})
	b.remove(o.ref("of b"))
	b.remove(o.ref("first a then b"))
	o.expect(nil)
}

var errEnded = errors.New("registrytest: the context has ended on purpose")

// checkEnded wants calls to heed a context that ends.
func checkEnded(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.put(a.record("x", "1"))
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(errEnded)
	if err := a.backend.Put(ctx, a.record("x", "2")); !errors.Is(err, errEnded) {
		tb.Errorf("registrytest: %s: Put with a context that has ended returns %v, want its cause", a.owner, err)
	}
	if err := a.backend.Remove(ctx, o.ref("x")); !errors.Is(err, errEnded) {
		tb.Errorf("registrytest: %s: Remove with a context that has ended returns %v, want its cause", a.owner, err)
	}
	o.expect(map[string]string{"x": "1"})
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		_ = b.backend.Run(ctx, func(registry.Batch) error { return errEnded })
	}()
	within, free := bounded()
	defer free()
	select {
	case <-returned:
	case <-within.Done():
		tb.Fatalf("registrytest: %s: Run with a context that has ended has not returned after %v", b.owner, patience)
	}
	a.follow()
	a.awaitVersion(o.ref("x"), "1")
	a.stop()
	b.put(b.record("y", "1"))
	b.follow()
	b.awaitVersion(o.ref("y"), "1")
	pause(context.Background(), 20*time.Millisecond) // for what comes although it must not
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.known[o.ref("y")]; ok {
		a.breachLocked("deliver was called after Run had returned")
	}
}

// checkExpiry wants a record to stay as long as it is put again in time, and to
// vanish for all when it is not.
func checkExpiry(tb testing.TB, open func() registry.Backend) {
	tb.Helper()
	o := newOrigin(tb, open)
	defer o.end()
	a, b := o.join(), o.join()
	a.follow()
	b.follow()
	const ttl, renewals = 600 * time.Millisecond, 8
	rec := a.record("x", "1")
	rec.Instance.TTL = ttl
	forever := a.record("y", "1")
	forever.Instance.TTL = 0
	a.put(forever)
	a.put(rec)
	b.awaitVersion(o.ref("x"), "1")
	last, gap := timeline{}.now(), time.Duration(0)
	for range renewals {
		pause(context.Background(), ttl/6)
		a.put(rec)
		now := timeline{}.now()
		last, gap = now, max(gap, now.Sub(last))
	}
	if gap < ttl/2 { // else this process was held up, and the record may have gone
		o.expect(map[string]string{"x": "1", "y": "1"})
		b.mu.Lock()
		if b.missed[o.ref("x")] {
			tb.Errorf("registrytest: %s: an instance with a TTL of %v has vanished, although it was put again every %v", b.owner, ttl, ttl/6)
		}
		b.mu.Unlock()
	}
	b.awaitGone("the end of the TTL", o.ref("x"))
	if lasted := (timeline{}).now().Sub(last); lasted < ttl*9/10 {
		tb.Errorf("registrytest: %s: an instance with a TTL of %v has vanished %v after it was put", b.owner, ttl, lasted)
	}
	a.awaitGone("the end of the TTL", o.ref("x"))
	o.expect(map[string]string{"y": "1"})
}
