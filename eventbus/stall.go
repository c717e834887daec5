package eventbus

import (
	"math"
	"sync"
	"time"
)

// A stallWatch tells the hook that one publisher has waited for StallAfter, and
// then at twice, four times ... that. It has a timer only while it waits.
type stallWatch[T any] struct {
	topic *Topic[T]
	p     *pending[T]
	after time.Duration // at which the hook is called next

	mu     sync.Mutex
	cancel func() bool
	over   bool
}

func (w *stallWatch[T]) arm(d time.Duration) {
	cancel := w.topic.bus.time.afterFunc(d, w.fire)
	w.mu.Lock()
	w.cancel = cancel
	over := w.over
	w.mu.Unlock()
	if over { // it ended while the timer was being made
		cancel()
	}
}

func (w *stallWatch[T]) stop() {
	w.mu.Lock()
	w.over = true
	cancel := w.cancel
	w.mu.Unlock()
	if cancel != nil {
		cancel()
	}
}

// fire may run although the timer was stopped, so it looks whether its publisher
// still waits. Of those in line only the front is reported: the others wait for
// the same.
func (w *stallWatch[T]) fire() {
	t := w.topic
	t.mu.Lock()
	if !w.p.waiting {
		t.mu.Unlock()
		return
	}
	defer w.again() // even if the hook ends the goroutine
	front := t.queue.front == w.p
	s := Stall{Topic: t.info.name, Waiting: t.queue.len, For: w.after}
	t.mu.Unlock()
	if front {
		for _, sub := range t.bus.waits.all(&t.line) {
			s.Subscriptions = append(s.Subscriptions, sub.Stats())
		}
		t.info.contain(func() { t.bus.hooks.Stalled(s) })
	}
}

// again has it fire once more when the publisher has waited for twice as long.
func (w *stallWatch[T]) again() {
	if w.after > math.MaxInt64/2 {
		return
	}
	d := w.after
	w.after *= 2
	w.arm(d)
}
