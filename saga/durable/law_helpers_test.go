package durable_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
)

// A shape is a random step: an action, or a group of shapes.
type shape struct {
	kind   saga.Kind
	name   string
	kids   []*shape
	items  int
	undo   bool
	probe  bool
	pivot  bool
	after  bool // it comes after the pivot
	off    bool // When says no
	says   []reply
	undoes []reply
	tries  int
	wait   time.Duration
	limit  int
}

// A reply is what the other side makes of a call, the last one of all further calls.
type reply uint8

const (
	agreed      reply = iota // done, and said so
	unheard                  // done, and the answer is lost
	missed                   // not done, and nobody knows
	declined                 // not done, and said so
	panicked                 // done, and then a panic
	replies     = int(panicked) + 1
	maxAttempts = 3
)

// A dice makes random shapes. Sequential ones have nothing that runs at the same time.
type dice struct {
	*rand.Rand
	left       int // steps to be made
	n          int
	sequential bool
}

func (d *dice) replies() []reply {
	all := make([]reply, 1+d.IntN(3))
	for i := range all {
		all[i] = reply(d.IntN(replies + 3)) // most are good
		if int(all[i]) >= replies {
			all[i] = agreed
		}
	}
	return all
}

// steps makes a list. within is a group in which there can be no pivot.
func (d *dice) steps(depth int, pivot *bool, within bool) (all []*shape) {
	for more := true; more && d.left > 0; more = d.IntN(3) > 0 {
		d.left--
		d.n++
		s := &shape{
			kind: saga.KindDo, name: fmt.Sprintf("s%d", d.n), says: d.replies(), undoes: d.replies(), tries: 1 + d.IntN(maxAttempts),
			wait: []time.Duration{-1, time.Second}[d.IntN(2)], undo: d.IntN(5) > 0, probe: d.IntN(4) == 0, off: d.IntN(8) == 0, limit: 1,
		}
		if !d.sequential {
			s.limit = d.IntN(3)
		} else if within {
			s.wait = -1
		}
		switch d.IntN(8) {
		case 0, 1:
			if depth < 2 && d.left > 0 {
				s.kind = saga.KindSub
				s.off = s.off && *pivot
				s.kids = d.steps(depth+1, pivot, within)
			}
		case 2:
			if depth < 2 && d.left > 0 && !*pivot {
				s.kind, s.items = saga.KindForEach, d.IntN(4)
				s.kids = d.steps(depth+1, new(bool), true)
			}
		case 3:
			if depth < 2 && d.left > 0 && !*pivot {
				s.kind = saga.KindParallel
				s.kids = d.steps(depth+1, new(bool), true)
			}
		case 4:
			if !within || !d.sequential {
				s.kind = saga.KindSleep
			}
		case 5:
			if !*pivot && !within && depth == 0 {
				*pivot, s.pivot, s.undo, s.off = true, true, false, false
			}
		}
		if *pivot && !s.pivot {
			s.undo, s.after = false, true
		}
		all = append(all, s)
	}
	return all
}

// A call is one that the other side got.
type call struct {
	path, key, doKey string
	attempt          int
	undo             bool
	reply            reply
	before           bool // the effect was there when it came
}

func (c call) String() string {
	verb := "do"
	if c.undo {
		verb = "undo"
	}
	return fmt.Sprintf("%s %s %d: %d", verb, c.path, c.attempt, c.reply)
}

// An effects log is the other side, which outlives the processes.
type effects struct {
	mu    sync.Mutex
	calls []call
	times map[string]int  // calls, by key
	there map[string]bool // effects, by key of the action
	ever  map[string]bool
}

func newEffects() *effects {
	return &effects{times: map[string]int{}, there: map[string]bool{}, ever: map[string]bool{}}
}

var errAnswer = errors.New("no answer")

func (x *effects) called(ctx context.Context, says []reply) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	info := saga.Info(ctx)
	c := call{path: info.Step, key: info.Key, doKey: info.DoKey, attempt: info.Attempt, undo: info.Undoing}
	c.reply = says[min(x.times[info.Key], len(says)-1)]
	x.times[info.Key]++
	effect := info.Key
	if info.Undoing {
		effect = info.DoKey
	}
	c.before = x.there[effect]
	x.calls = append(x.calls, c)
	if c.reply == agreed || c.reply == unheard || c.reply == panicked {
		x.there[effect] = !info.Undoing
		x.ever[effect] = x.ever[effect] || !info.Undoing
	}
	switch c.reply {
	case unheard, missed:
		return errAnswer
	case declined:
		return saga.Reject(errAnswer)
	case panicked:
		panic("after all")
	default:
		return nil
	}
}

// steps makes a definition of shapes.
func (x *effects) steps(all []*shape, child bool) []saga.Step[order] {
	steps := make([]saga.Step[order], len(all))
	for i, s := range all {
		step := saga.Step[order]{Name: s.name}
		if s.off {
			step.When = func(*order) bool { return false }
		}
		switch s.kind {
		case saga.KindDo:
			x.action(&step, s)
		case saga.KindSleep:
			step = saga.Sleep(step, time.Minute)
		case saga.KindSub:
			step = within(s.name, saga.MustNewWith(saga.Spec[order]{Name: "sub", Steps: x.steps(s.kids, false), Clone: wound}))
			if s.off {
				step.When = func(*order) bool { return false }
			}
		case saga.KindForEach:
			step.Limit = s.limit
			step = saga.ForEach(step, func(*order) []order { return make([]order, s.items) },
				saga.MustNewWith(saga.Spec[order]{Name: "item", Steps: x.steps(s.kids, false), Clone: wound}), func(o *order, ends []order) {
					for _, end := range ends {
						o.N += end.N
					}
				})
		case saga.KindParallel:
			step.Limit, step.Parallel = s.limit, x.steps(s.kids, true)
		case saga.KindAwait:
		}
		if child {
			step.Merge = func(dst, src *order) { dst.N += src.N }
		}
		steps[i] = step
	}
	return steps
}

func (x *effects) action(step *saga.Step[order], s *shape) {
	step.Do = func(ctx context.Context, o *order) error { o.N++; return x.called(ctx, s.says) }
	step.Pivot = s.pivot
	step.Retry = saga.Retry{Attempts: s.tries, Wait: s.wait, NoJitter: true}
	if s.undo {
		step.Undo = func(ctx context.Context, o *order) error { o.N += 100; return x.called(ctx, s.undoes) }
		step.UndoRetry = saga.Retry{Attempts: 4, Wait: s.wait, NoJitter: true}
	}
	if s.probe {
		step.Probe = func(ctx context.Context, _ *order) (saga.Outcome, error) {
			x.mu.Lock()
			defer x.mu.Unlock()
			if x.there[saga.Info(ctx).Key] {
				return saga.Applied, nil
			}
			return saga.Rejected, nil
		}
	}
}

// lawful checks that what the other side has seen is a lawful history (G4) of a run
// that ended so. crashed tells that processes have died.
func (x *effects) lawful(all []*shape, status saga.Status, crashed bool) (broken []string) {
	say := func(format string, args ...any) { broken = append(broken, fmt.Sprintf(format, args...)) }
	first, last := map[string]int{}, map[string]int{} // calls, by "do path" and "undo path"
	attempts, back := map[string]int{}, -1
	for i, c := range x.calls {
		verb := "do "
		if c.undo {
			verb = "undo "
		}
		if _, known := first[verb+c.path]; !known {
			first[verb+c.path] = i
		}
		last[verb+c.path] = i
		if c.attempt <= attempts[c.key] {
			say("attempt %d of %s comes again", c.attempt, c.key)
		}
		attempts[c.key] = c.attempt
		if c.undo && back < 0 {
			back = i
		}
		if !c.undo && back >= 0 {
			say("%v after the run went back", c)
		}
		if want := "checkout/r1/" + c.path + "/" + strings.TrimSpace(verb); c.key != want || c.undo && c.doKey != "checkout/r1/"+c.path+"/do" {
			say("the key of %v is %q, %q", c, c.key, c.doKey)
		}
	}
	x.order(all, "", first, last, say)
	x.ending(all, status, crashed, say)
	return broken
}

// order checks that steps of a list follow one another, and are undone the other way
// round.
func (x *effects) order(all []*shape, prefix string, first, last map[string]int, say func(string, ...any)) {
	for i, s := range all {
		if s.kind == saga.KindForEach {
			for k := range s.items {
				x.order(s.kids, fmt.Sprintf("%s%s/%d/", prefix, s.name, k), first, last, say)
			}
		} else if s.kind == saga.KindParallel {
			for _, kid := range s.kids {
				x.order([]*shape{kid}, prefix+s.name+"/", first, last, say)
			}
		} else {
			x.order(s.kids, prefix+s.name+"/", first, last, say)
		}
		for _, next := range all[i+1:] {
			for _, a := range paths(s, prefix) {
				for _, b := range paths(next, prefix) {
					if at, ok := first["do "+b]; ok && last["do "+a] > at {
						say("%s is done after %s", a, b)
					}
					if at, ok := first["undo "+a]; ok && last["undo "+b] > at {
						say("%s is undone after %s", b, a)
					}
				}
			}
		}
	}
}

// ending checks what is left of the effects.
func (x *effects) ending(all []*shape, status saga.Status, crashed bool, say func(string, ...any)) {
	unheardOf := func(path string) (unknown bool) { // it may have had its effect
		for _, c := range x.calls {
			unknown = unknown || c.path == path && !c.undo && (c.reply != declined || crashed)
		}
		return unknown
	}
	for _, l := range leaves(all, "", false) {
		key := "checkout/r1/" + l.path + "/do"
		undone := x.times["checkout/r1/"+l.path+"/undo"] > 0
		switch {
		case l.off && x.times[key] > 0:
			say("%s was left out and is done", l.path)
		case undone && !unheardOf(l.path) && !crashed: // the start of an attempt may be all there is of it
			say("%s is undone and was never done", l.path)
		case l.shape.pivot && x.there[key] && x.backward():
			say("the pivot %s is applied, and the run went back", l.path)
		case status == saga.Completed && !l.off && !x.ever[key]:
			say("%s is not done, and the run is completed", l.path)
		case status == saga.Completed && undone:
			say("%s is undone, and the run is completed", l.path)
		case status == saga.Compensated && l.shape.undo && x.there[key]:
			say("%s is not undone, and the run is compensated", l.path)
		case status == saga.Compensated && l.shape.undo && !undone && !crashed && !l.shape.probe && unheardOf(l.path):
			say("%s is done or tainted and was not undone", l.path)
		case status == saga.Compensated && l.shape.after && x.times[key] > 0:
			say("%s comes after the pivot, and the run is compensated", l.path)
		}
	}
}

func (x *effects) backward() bool {
	for _, c := range x.calls {
		if c.undo {
			return true
		}
	}
	return false
}

// A leaf is an action with its path.
type leaf struct {
	path  string
	shape *shape
	off   bool
}

func leaves(all []*shape, prefix string, off bool) (found []leaf) {
	for _, s := range all {
		switch s.kind {
		case saga.KindDo:
			found = append(found, leaf{prefix + s.name, s, off || s.off})
		case saga.KindForEach:
			for k := range s.items {
				found = append(found, leaves(s.kids, fmt.Sprintf("%s%s/%d/", prefix, s.name, k), off || s.off)...)
			}
		default:
			found = append(found, leaves(s.kids, prefix+s.name+"/", off || s.off)...)
		}
	}
	return found
}

func paths(s *shape, prefix string) (all []string) {
	for _, l := range leaves([]*shape{s}, prefix, false) {
		all = append(all, l.path)
	}
	return all
}
