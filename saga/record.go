package saga

import (
	"errors"
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A recorder is what a durable run has besides: where it writes what happens. What
// has happened is collected, and written when something depends on it: before user
// code runs, when it waits, and at the end.
type recorder struct {
	journal  core.Journal
	maxState int
	crashes  int // how many within one step are too many
	turn     chan struct{}
	events   []core.Event // not yet written
	spare    []core.Event // room for others, while those are
	wake     int64        // the earliest instant that a step waits for; never: none
	severed  error        // why nothing can be written any more

	stepTimeout time.Duration // of steps that have none; 0: none, as in memory
	undoing     bool          // it was decided to go back
	untold      bool          // of the latest attempt no event tells
	insisted    bool          // an operator wants the pivot, which is in doubt, tried whatever the time
	signals     map[string][]byte
}

// begin records that an attempt begins, and reports whether that is written.
func (r *run) begin(f *frame, i int, undo bool) bool {
	if r.journal == nil {
		return true
	}
	m := &f.marks[i]
	tries, attempt := m.tries, m.attempt
	if undo {
		tries, attempt = m.undoTries, m.undoAttempt
	}
	e := f.started(i, undo, attempt+1)
	if e.Begins = true; f.alone() {
		r.untold = false
	}
	if tries >= enough && f.alone() {
		e.Brief, m.detail().brief = true, true
	}
	r.note(e)
	return r.flush(f.lane())
}

// enough is how many failures of a step are recorded, so that a journal does not grow for
// as long as a step is tried. Of those that follow the head of the run tells, unless there
// is something new about them: a taint, a state, an end.
//
// What the head tells may be less than what is so: that an attempt was in flight, and not
// that it has failed; that there is a taint, and not that Probe has taken it away. Then
// Probe is asked, or the attempt made, once more.
const enough = 64

// alone reports whether nothing else happens while a step of a frame does: a head tells of
// one step.
func (f *frame) alone() bool {
	for ; f.up != nil; f = f.up {
		if f.up.nodes[f.at].kind != KindSub {
			return false
		}
	}
	return true
}

// started is the event for the beginning of an attempt.
func (f *frame) started(i int, undo bool, attempt int32) core.Event {
	e := core.Event{Kind: core.Started, Step: f.path(i), Of: f.of(i), Attempt: int(attempt), Pivot: f.nodes[i].pivot}
	if undo {
		e.Kind = core.UndoStarted
	}
	return e
}

// noteEnd collects an event that tells how an attempt has ended, after one for its
// beginning if there was none.
func (r *run) noteEnd(f *frame, i int, undo bool, e core.Event) {
	if d := f.marks[i].more; d != nil && d.brief {
		d.brief = false
		r.note(f.started(i, undo, int32(e.Attempt)))
	}
	r.note(e)
}

// keep encodes the state after an attempt that was applied. If that does not work
// nobody would know of it, so the attempt counts as unknown.
func (r *run) keep(f *frame, i int) answer {
	if r.journal == nil {
		return answer{outcome: Applied}
	}
	if err := r.encode(f); err != nil {
		return answer{err: fmt.Errorf("%s: %w", f.path(i), err), final: true}
	}
	return answer{outcome: Applied}
}

var errStateSize = errors.New("the state is larger than Config.MaxState")

// encode makes next what the state is now: it is written with the next event of the
// frame, and is saved from then on.
func (r *run) encode(f *frame) error {
	data, err := f.prog.codec.Marshal(f.state)
	switch {
	case err != nil:
		return err
	case len(data) > r.maxState:
		return errStateSize
	}
	f.next = data
	return nil
}

// recordDone records that a step is applied, and the state if it has changed.
func (r *run) recordDone(f *frame, i int) {
	if r.journal == nil {
		return
	}
	r.noteEnd(f, i, false, core.Event{
		Kind: core.Done, Step: f.path(i), Of: f.of(i), Attempt: int(f.marks[i].attempt), Outcome: uint8(Applied),
		Pivot: f.nodes[i].pivot, Data: r.changed(f),
	})
}

// changed is the state of a frame if it is not what was recorded last.
func (r *run) changed(f *frame) []byte {
	if f.next == nil || f.saved != nil && string(f.next) == string(f.saved) {
		return nil
	}
	f.saved = f.next
	return f.saved
}

// recordFailed records an attempt of Do that was not applied.
func (r *run) recordFailed(f *frame, i int, a answer, final bool, wake int64) {
	if r.journal == nil {
		return
	}
	m := &f.marks[i]
	_ = r.encode(f) // what was written before it failed is kept if it can be
	e := core.Event{
		Kind: core.Failed, Step: f.path(i), Of: f.of(i), Attempt: int(m.attempt), Outcome: uint8(a.outcome),
		Tainted: m.tainted, Final: final, Err: text(a.err), Data: r.changed(f),
	}
	d := m.detail()
	if wake > 0 {
		e.Wake, d.wake = r.time.date(wake), wake
	}
	if d.brief && !final && (d.said || !m.tainted) && e.Data == nil && d.crashes == 0 {
		d.brief, e.Brief, r.untold = false, true, true
		r.note(e)
		return
	}
	d.said, d.crashes = m.tainted, 0
	r.noteEnd(f, i, false, e)
}

// recordStatus records that a run has ended, or is stuck.
func (r *run) recordStatus(to Status) {
	switch {
	case r.journal == nil:
	case to.Ended():
		r.note(core.Event{Kind: core.Ended, Status: uint8(to)})
	case to == Stuck:
		f := r.failure
		r.note(core.Event{Kind: core.Stuck, Step: f.Step, Outcome: uint8(f.Outcome), Reason: uint8(f.Reason), Err: text(f.Err)})
	}
}

// recordBack records that the run goes back, and why.
func (r *run) recordBack() {
	if r.journal == nil || r.undoing {
		return
	}
	r.undoing = true
	r.note(core.Event{Kind: core.Aborting, Step: r.failure.Step, Outcome: uint8(r.failure.Outcome), Err: text(r.failure.Err)})
}

// park notes an instant that a step waits for; never: it waits for a signal.
func (r *run) park(f *frame, wake int64) flow {
	if !r.irreversible() {
		wake = min(wake, f.deadline)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.wake = min(r.wake, wake)
	return parked
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A past is an error that was recorded: its text is all that is left of it.
type past string

func (p past) Error() string { return string(p) }

func pastError(text string) error {
	if text == "" {
		return nil
	}
	return past(text)
}

// until is an instant of others on the clock of this run; 0: none. What is over is
// 1, which is over, too.
func (r *run) until(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return max(1, r.since(t))
}

// stopping reports whether the engine has been told to stop, or has lost the run.
func (r *run) stopping() bool { return r.journal != nil && r.ctx.Err() != nil }

// interrupted is the end of an attempt that was cut short by the engine: it says
// nothing about the step, and does not count.
func (r *run) interrupted(f *frame, i int, undo bool) flow {
	e := core.Event{Kind: core.Interrupted, Step: f.path(i), Attempt: int(f.marks[i].attempt), Verb: verbStop}
	if undo {
		e.Attempt = int(f.marks[i].undoAttempt)
	}
	r.note(e)
	return halt
}

// verbStop tells an attempt that the engine has ended from one that the process did
// not survive.
const verbStop = "stop"

// recordWhen records the answer of When.
func (r *run) recordWhen(f *frame, i int) {
	if r.journal == nil {
		return
	}
	o := Applied
	if f.marks[i].stage == off {
		o = Rejected
	}
	r.note(core.Event{Kind: core.Decided, Step: f.path(i), Of: f.of(i), Outcome: uint8(o)})
}

// recordWake records the instant that Sleep waits for.
func (r *run) recordWake(f *frame, i int, wake int64) {
	r.note(core.Event{Kind: core.Waiting, Step: f.path(i), Of: f.of(i), Wake: r.time.date(wake)})
}

// recordStates records what the states of a saga within, or of the items of ForEach,
// begin with.
func (r *run) recordStates(f *frame, i int) error {
	if r.journal == nil {
		return nil
	}
	kids := f.marks[i].kids
	items := make([][]byte, len(kids))
	now := r.time.now()
	for k, kid := range kids {
		if err := r.encode(kid); err != nil {
			return err
		}
		kid.saved, kid.begun = kid.next, now
		items[k] = kid.next
	}
	r.note(core.Event{Kind: core.Decided, Step: f.path(i), Of: f.of(i), Items: items})
	return nil
}

// since is an instant of the past on the clock of this run.
func (r *run) since(t time.Time) int64 {
	now := r.time.now()
	return after(now, t.Sub(r.time.source.now()))
}

// of is the kind of a step for the journal, in which most are actions.
func (f *frame) of(i int) string {
	if k := f.nodes[i].kind; k != KindDo {
		return string(k)
	}
	return ""
}

// recordProbed records that an action is known not to have had its effect. It goes out
// with what follows.
func (r *run) recordProbed(f *frame, i int, final bool) {
	if r.journal == nil {
		return
	}
	m := &f.marks[i]
	if m.tries >= enough && f.alone() && !final { // who does not know it asks again
		return
	}
	d := m.detail()
	d.said = false
	r.note(core.Event{
		Kind: core.Failed, Step: f.path(i), Of: f.of(i), Attempt: int(m.attempt), Outcome: uint8(Rejected), Final: final, Err: text(d.err),
	})
}

// recordMerged records the state of a group that has failed, in which what its children
// wrote is merged.
func (r *run) recordMerged(f *frame, i int) {
	if r.journal == nil || r.encode(f) != nil {
		return
	}
	if data := r.changed(f); data != nil {
		r.note(core.Event{Kind: core.Decided, Step: f.path(i), Of: f.of(i), Final: true, Data: data})
	}
}
