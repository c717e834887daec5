package eventbus

import (
	"context"
	"errors"
	"time"
)

// A worker is a goroutine that runs the handler of a subscription. If the
// handler ends that goroutine by runtime.Goexit, another goes on with the same
// worker.
type worker[T any] struct {
	batch[T]
	call *caller[T]

	trial[T]
}

// A trial is the handling of one event beyond a first call that simply
// succeeds. Each stage is set before user code runs, so that a goroutine that
// takes over from one that was ended finds out what has been done.
type trial[T any] struct {
	stage   stage
	event   Event[T]
	attempt int // 1, 2, 3...
	began   int64
	took    time.Duration
	err     error // of the last attempt
	wait    time.Duration
}

type stage uint8

const (
	idle     stage = iota // no event
	calling               // the call is being made
	called                // it has returned err
	judged                // wait is known; negative: no further attempt
	observed              // Hooks.Handled has been called
	told                  // and Hooks.Failed
)

// loop is the life of the goroutine.
func (w *worker[T]) loop() {
	finished := false
	defer func() {
		if !finished {
			go w.loop()
		}
	}()
	for {
		w.conclude()
		if w.i < w.size() {
			w.run()
			continue
		}
		w.release()
		if !w.src.take(&w.batch, nil) {
			break
		}
	}
	finished = true
	w.src.leave(&w.batch)
}

// size is how many events the batch has, which is over at a stop.
func (w *worker[T]) size() int {
	if w.bare {
		return len(w.data)
	}
	return len(w.events)
}

// run makes first calls until one does not simply succeed. One recover serves
// them all: one for each call would cost as much as all the rest.
func (w *worker[T]) run() {
	returned := false
	defer func() {
		if v := recover(); v != nil {
			w.err = newPanic(v)
		} else if !returned {
			w.err = &PanicError{Goexit: true}
		} else {
			return
		}
		w.failedAt(w.i - 1)
	}()
	switch {
	case w.bare:
		w.runData()
	case w.call.plain:
		w.runEvents()
	default:
		w.runWrapped()
	}
	returned = true
}

func (w *worker[T]) runData() {
	fn := w.call.data
	var ctx context.Context
	if w.even {
		ctx = w.context(w.ctx)
	}
	for w.i < len(w.data) {
		if !w.hand.begin() {
			w.stop()
			return
		}
		i := w.i
		w.i++
		if !w.even {
			ctx = w.context(w.ctxs[i]) //nolint:fatcontext // made from the publisher's, not from the last
		}
		if err := fn(ctx, w.data[i]); err != nil {
			w.err = err
			w.failedAt(i)
			return
		}
	}
}

func (w *worker[T]) runEvents() {
	fn := w.call.event
	if fn == nil { // a handler of data, of whose failures the event is wanted
		fn = w.call.direct
	}
	for w.i < len(w.events) {
		if !w.hand.begin() {
			w.stop()
			return
		}
		e := &w.events[w.i]
		w.i++
		if err := fn(w.context(e.ctx), *e); err != nil {
			w.err = err
			w.failedAt(w.i - 1)
			return
		}
	}
}

// runWrapped begins one event whose attempts need more than a call.
func (w *worker[T]) runWrapped() {
	if !w.hand.begin() {
		w.stop()
		return
	}
	w.i++
	w.trial = trial[T]{event: w.events[w.i-1], attempt: 1}
	w.try()
}

// stop skips the rest of the batch, because the hand has been stopped.
func (w *worker[T]) stop() { w.i = w.size() }

// failedAt has the i-th event, whose first call returned w.err, dealt with.
func (w *worker[T]) failedAt(i int) {
	if w.stage != idle {
		return // a wrapped call, which keeps its own record
	}
	w.stage, w.attempt = called, 1
	if !w.bare {
		w.event = w.events[i]
		return
	}
	o := origin{ctx: w.batch.context(i)}
	w.event = Event[T]{Data: w.data[i], envelope: envelope{origin: o}}
}

// try makes one attempt.
func (w *worker[T]) try() {
	w.stage, w.err = calling, nil
	bus := w.hand.sub.bus
	if w.call.clocked {
		w.began = bus.time.now()
	}
	err := w.call.attempt(w.context(w.event.ctx), &w.event)
	w.err, w.stage = err, called
}

// conclude goes on with the event of the trial, if there is one, until it has
// been handled or given up.
func (w *worker[T]) conclude() {
	sub := w.hand.sub
	for {
		switch w.stage {
		case idle:
			return
		case calling: // by a goroutine that was ended there
			w.err, w.stage = &PanicError{Goexit: true}, called
		case called:
			if w.call.clocked {
				w.took = time.Duration(sub.bus.time.now() - w.began)
			}
			w.wait, w.stage = -1, judged
			if w.err != nil {
				w.judge()
			}
		case judged:
			w.stage = observed
			w.observe()
		case observed:
			w.stage = told
			w.tell()
		case told:
			switch {
			case w.err == nil:
				w.trial = trial[T]{}
			case w.wait < 0:
				w.giveUp()
			case sub.bus.time.sleep(w.wait, sub.stopping, sub.life.ctx.Done()):
				w.attempt++
				sub.retried.Add(1)
				w.try()
			default: // the subscription has ended, which Failed has to know
				w.wait, w.stage = -1, observed
			}
		}
	}
}

// judge asks whether there will be another attempt.
func (w *worker[T]) judge() {
	wait := time.Duration(-1)
	if err := safely(func() { wait = w.call.retry.wait(w.attempt, w.err) }); err != nil {
		w.err = errors.Join(w.err, err)
	}
	w.wait = wait
}

// observe tells the attempt.
func (w *worker[T]) observe() {
	sub, e := w.hand.sub, &w.event
	hook := sub.bus.hooks.Handled
	if hook == nil {
		return
	}
	e.topic.contain(func() {
		hook(w.context(e.ctx), Handling{
			Topic: e.topic.name, Subscription: sub.name, Seq: e.Seq, Attempt: w.attempt,
			Age: sub.bus.time.age(e.at, w.began), Took: w.took, Err: w.err,
		})
	})
}

// tell tells the failure.
func (w *worker[T]) tell() {
	hook := w.hand.sub.bus.hooks.Failed
	if w.err == nil || hook == nil {
		return
	}
	f := w.failure()
	w.event.topic.contain(func() { hook(w.context(w.event.ctx), f) })
}

func (w *worker[T]) failure() Failure {
	return Failure{Event: w.event.erased(), Subscription: w.hand.sub.name, Attempts: w.attempt, Final: w.wait < 0, Err: w.err}
}

// giveUp makes a dead letter of the event.
func (w *worker[T]) giveUp() {
	w.hand.failed()
	ctx, dead := w.context(w.event.ctx), w.event.topic.deadLetters(w.call.dead)
	var f Failure
	if dead != nil {
		f = w.failure()
	}
	w.trial = trial[T]{} // first, lest a goroutine that takes over does it again
	if dead != nil {
		bury(ctx, dead, f)
	}
}

// context is what the handler gets for an event published with ctx.
func (w *worker[T]) context(ctx context.Context) context.Context {
	ctx = publishers(ctx)
	if c := w.last; c != nil && sameContext(ctx, c.values) {
		return c
	}
	w.last = &handlerCtx{values: ctx, life: &w.hand.sub.life, hand: &w.hand}
	return w.last
}
