package saga

import "strconv"

// A frame is one pass through a list of steps on one state: that of a run, of a
// saga within it, of an item of ForEach, or of one child of Parallel.
type frame struct {
	run   *run
	prog  *program
	nodes []node
	marks []mark
	state any // a pointer

	// Where it hangs: at step at of up, as element elem. up is nil for the run.
	up   *frame
	at   int
	elem int // -1: it is no item of ForEach

	own      *lane  // of the goroutine on which it goes on, unless that is the one of up
	begun    int64  // when it began, if it is durable
	deadline int64  // on the clock of the run, while the pivot is not applied; never if there is none
	beyond   bool   // it goes by the context of the run's grace: the pivot is applied
	met      int    // how many steps stand up to the last of which something is recorded
	saved    []byte // the state as it was recorded last
	next     []byte // as it is to be recorded with the next event
}

// A mark is what is known about one step.
type mark struct {
	stage   stage
	tainted bool // some attempt may have been applied though none was seen to be
	undo    undoStage

	// attempt numbers the attempts of Do, which is never done twice with the same
	// number; tries counts those that the policy is about. The same for Undo.
	attempt, tries         int32
	undoAttempt, undoTries int32

	kids []*frame // of groups and sagas within

	more *detail // what only few steps have; nil: nothing
}

// A detail is what is remembered of a step besides, most of it from the journal.
type detail struct {
	was      string // the name it had when this run met it first; "": the present one
	wake     int64  // when the next attempt is due, of Do or Undo
	err      error  // of the latest attempt of Do, which said outcome
	outcome  Outcome
	undoErr  error    // of the latest attempt of Undo
	open     bool     // an attempt of Do was in flight when the process ended
	undoOpen bool     // one of Undo
	crashes  int      // how often that has happened since it was last looked after
	final    bool     // there is no attempt after the latest one
	brief    bool     // it began without an event of its own
	said     bool     // whether it is tainted, as it was recorded last
	signal   any      // of Await, a pointer; nil: none yet
	waits    bool     // it waits for a signal, or has
	reached  int64    // since when
	order    []*frame // children of Parallel that have settled in another process, in that order
}

// detail is the details of a step, to be changed.
func (m *mark) detail() *detail {
	if m.more == nil {
		m.more = &detail{}
	}
	return m.more
}

type stage uint8

const (
	fresh   stage = iota
	chosen        // When has said yes
	off           // When has said no
	applied       // it is done
)

type undoStage uint8

const (
	notUndone undoStage = iota
	undone
	undoFailed // for good
)

// child is a frame below step i.
func (f *frame) child(i int, prog *program, nodes []node, state any, elem int) *frame {
	return &frame{
		run: f.run, prog: prog, nodes: nodes, marks: make([]mark, len(nodes)), state: state,
		up: f, at: i, elem: elem, deadline: f.deadline,
	}
}

// path is the full name of a step.
func (f *frame) path(i int) string { return f.prefix() + f.name(i) }

// name is the name of a step, the one it had when this run met it first.
func (f *frame) name(i int) string {
	if more := f.marks[i].more; more != nil && more.was != "" {
		return more.was
	}
	return f.nodes[i].name
}

func (f *frame) prefix() string {
	if f.up == nil {
		return ""
	}
	prefix := f.up.path(f.at) + "/"
	if f.elem >= 0 {
		prefix += strconv.Itoa(f.elem) + "/"
	}
	return prefix
}
