package eventbus

import "sync"

// A baton has what is told to a hook delivered in order, never two at a time,
// outside locks: whoever finds nobody at it delivers all that is queued.
type baton struct {
	mu         sync.Mutex
	queue      []Drop
	delivering bool
}

// deliver tells drops. If somebody is at it already, they are told there.
//
// A hook that calls runtime.Goexit ends this goroutine, but not before the
// deferred call has gone on with what is still owed.
func (b *baton) deliver(hook func(Drop), info *topicInfo, drops ...Drop) {
	b.mu.Lock()
	b.queue = append(b.queue, drops...)
	owed := !b.delivering
	b.delivering = true
	b.mu.Unlock()
	if owed {
		b.run(hook, info)
	}
}

func (b *baton) run(hook func(Drop), info *topicInfo) {
	finished := false
	defer func() {
		if !finished {
			b.run(hook, info)
		}
	}()
	for {
		d, ok := b.take()
		if !ok {
			break
		}
		info.contain(func() { hook(d) })
	}
	finished = true
}

// take is the oldest of the queue; without one, the baton is given up.
func (b *baton) take() (Drop, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.queue) == 0 {
		b.queue, b.delivering = nil, false
		return Drop{}, false
	}
	d := b.queue[0]
	b.queue = b.queue[1:]
	return d, true
}

// contain runs a hook, and reports its panic, or that it ended its goroutine.
func (i *topicInfo) contain(hook func()) {
	returned := false
	defer func() {
		if !returned {
			i.fault(recover())
		}
	}()
	hook()
	returned = true
}

// fault counts and tells what a hook panicked with; nil: it called
// runtime.Goexit. It is to be called by the deferred function that recovered.
func (i *topicInfo) fault(v any) {
	i.hookPanics.Add(1)
	hook := i.bus.hooks.Fault
	if hook == nil {
		return
	}
	p := &PanicError{Goexit: true}
	if v != nil {
		p = newPanic(v)
	}
	returned := false
	defer func() {
		if !returned {
			_ = recover()
			i.hookPanics.Add(1)
		}
	}()
	hook(p)
	returned = true
}
