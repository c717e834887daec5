// Package core is what packages saga and durable share: how a program is executed
// on a journal. Its types know nothing of either, so that both can.
package core

import (
	"context"
	"time"
)

// A Handle is embedded by what has a program, to hand it to package durable. C is
// the config of a run, E how one ended.
type Handle[C, E any] struct{ P Program[C, E] }

// Program returns the program; nil if there is none.
func (h *Handle[C, E]) Program() Program[C, E] {
	if h == nil {
		return nil
	}
	return h.P
}

// A Program is a compiled saga.
type Program[C, E any] interface {
	Name() string
	Fingerprint() string
	MaxRunning() int

	// Encode and Decode are for states, which are pointers. Codec problems of the
	// zero state are found by Encodable.
	Encode(state any) ([]byte, error)
	Decode(data []byte) (any, error)
	Encodable() error

	// EncodeSignal encodes a signal for an Await step, and tells its path by present
	// names; "" if there is no such step. err tells that it wants another type.
	EncodeSignal(step string, v any) (present string, data []byte, err error)

	// Present is the path of an Await step by present names; "" if there is none.
	Present(step string) string

	// Draw draws the saga, in Mermaid or in DOT, with what has become of its steps:
	// paths without numbers of items, to "applied", "undone", "failed" or "open".
	Draw(dot bool, became map[string]string) string

	// Execute brings a run as far as it gets without waiting: to its end, to where
	// it is stuck, or to where it has to wait. Events are what is recorded of it.
	// An end of ctx stops it, with the attempts under way.
	Execute(ctx context.Context, j Job[C]) Result[E]

	// Inspect is Execute that does nothing but look.
	Inspect(j Job[C]) (Result[E], error)
}

// A Job is a run to be executed.
type Job[C any] struct {
	ID      string
	Labels  map[string]string
	Config  C
	Events  []Event // what is recorded of it, from its creation on
	Journal Journal
	Latest  Latest

	Fresh       bool          // it has not begun yet
	MaxState    int           // bytes of an encoded state
	MaxCrashes  int           // within one step; 0 and less: any number
	StepTimeout time.Duration // of steps that have none; 0 and less: none
}

// A Latest is the attempt of which the head of a run tells. After many failures it is
// the only one that does.
type Latest struct {
	Step     string // its path
	Attempt  int
	InFlight bool      // it was when the head was written
	Wake     time.Time // when the next one is due, if it was not
}

// A Result is how far Execute has come.
type Result[E any] struct {
	Halted error // why it could not go on: of the journal, or the end of its context
	Waits  bool  // it waits: until Wake, or for a signal if that is zero
	Wake   time.Time
	Status uint8   // as of now, as what follows
	Undoes bool    // it goes back
	Passed bool    // the pivot is applied
	Doubts bool    // it may be
	Tries  bool    // it waits for another attempt
	Untold bool    // for one that no event tells of
	End    E       // how it failed; nil: it has not, so far
	State  any     // as of now
	Saved  []byte  // as it was recorded last
	Events []Event // what is still to be recorded
	Told   func()  // has to be called when they are
}

// A Journal is where a run records what it does. Append returns when the events are
// durable, or never will be. It is not called twice at a time, and keeps nothing of them.
type Journal interface {
	Append(events []Event) error
}

// A Kind is what an event tells.
type Kind string

// The kinds of events.
const (
	Created     Kind = "created"
	Started     Kind = "started"
	Done        Kind = "done"
	Failed      Kind = "failed"
	Interrupted Kind = "interrupted"
	Decided     Kind = "decided"
	Aborting    Kind = "aborting"
	UndoStarted Kind = "undo-started"
	UndoDone    Kind = "undo-done"
	UndoFailed  Kind = "undo-failed"
	Waiting     Kind = "waiting"
	Signal      Kind = "signal"
	Stuck       Kind = "stuck"
	Operator    Kind = "operator"
	Ended       Kind = "ended"
)

// An Event is one thing that happened to a run.
type Event struct {
	Kind    Kind      `json:"kind"`
	Step    string    `json:"step,omitempty"` // its path
	Of      string    `json:"of,omitempty"`   // the kind of the step; empty: do
	At      time.Time `json:"at"`
	Wake    time.Time `json:"wake,omitzero"`
	Attempt int       `json:"attempt,omitempty"`
	Outcome uint8     `json:"outcome,omitempty"`
	Tainted bool      `json:"tainted,omitempty"`
	Pivot   bool      `json:"pivot,omitempty"`  // it was the pivot that this happened to
	Final   bool      `json:"final,omitempty"`  // there is no further attempt
	Status  uint8     `json:"status,omitempty"` // with Ended
	Reason  uint8     `json:"reason,omitempty"`
	Verb    string    `json:"verb,omitempty"` // of an operator
	Err     string    `json:"err,omitempty"`
	By      string    `json:"by,omitempty"`
	Why     string    `json:"why,omitempty"`
	Data    []byte    `json:"data,omitzero"`   // nil: none, which is not the same as no bytes
	Items   [][]byte  `json:"items,omitempty"` // with Decided of ForEach

	Begins bool `json:"-"` // what it tells of comes only now
	Brief  bool `json:"-"` // it is not recorded, but for what it changes in the head
}
