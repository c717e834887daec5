package saga

import (
	"fmt"
	"strconv"
	"strings"
)

// An Outcome is what is known about an action.
type Outcome uint8

// The outcomes.
const (
	Unknown  Outcome = iota // it may have had its effect
	Applied                 // it has
	Rejected                // it certainly has not
)

const outcomeNames = "unknown,applied,rejected"

// String is the name in lower case.
func (o Outcome) String() string { return nameOf(outcomeNames, uint8(o), "Outcome") }

// MarshalText is String, so that it is a word in JSON too.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText has made of an outcome that there is.
func (o *Outcome) UnmarshalText(text []byte) error { return named(outcomeNames, text, o, "Outcome") }

// A Status is how far a run is.
type Status uint8

// The statuses.
const (
	Running      Status = iota + 1 // it executes, or could
	Waiting                        // for an instant or a signal
	Compensating                   // it goes back
	Stuck                          // it waits for an operator
	Completed                      // ended: all steps are done
	Compensated                    // ended: all that was done is undone
	Abandoned                      // ended: an operator left it as it was
)

const statusNames = "none,running,waiting,compensating,stuck,completed,compensated,abandoned"

// String is the name in lower case; "none" for zero.
func (s Status) String() string { return nameOf(statusNames, uint8(s), "Status") }

// MarshalText is String, so that it is a word in JSON too.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has made of zero or of a status that there is.
func (s *Status) UnmarshalText(text []byte) error { return named(statusNames, text, s, "Status") }

// Ended reports whether nothing will happen any more.
func (s Status) Ended() bool { return s >= Completed && s <= Abandoned }

// A Reason is why a run is stuck.
type Reason uint8

// The reasons.
const (
	ReasonNone              Reason = iota
	ReasonUndoFailed               // a compensation failed for good
	ReasonPivotUnknown             // nobody knows whether the pivot took effect
	ReasonForwardFailed            // a step after the pivot failed for good
	ReasonDefinitionChanged        // the saga has no place for what was recorded
	ReasonCrashLoop                // the process died too often within one step
	ReasonJournalUnreadable        // what was recorded makes no sense
)

const reasonNames = "no reason,undo failed,pivot unknown,forward failed,definition changed,crash loop,journal unreadable"

// String is the name in words.
func (r Reason) String() string { return nameOf(reasonNames, uint8(r), "Reason") }

// MarshalText is String, so that it is words in JSON too.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText has made of a reason that there is.
func (r *Reason) UnmarshalText(text []byte) error { return named(reasonNames, text, r, "Reason") }

// nameOf is the name of a value of a type, of those from zero on. A value that has none is
// shown as Go's tools do a constant without a name.
func nameOf(names string, value uint8, of string) string {
	i := 0
	for name := range strings.SplitSeq(names, ",") {
		if i == int(value) {
			return name
		}
		i++
	}
	return of + "(" + strconv.Itoa(int(value)) + ")"
}

// named sets v to the value that has a name.
func named[T ~uint8](names string, text []byte, v *T, of string) error {
	var value T
	for name := range strings.SplitSeq(names, ",") {
		if name == string(text) {
			*v = value
			return nil
		}
		value++
	}
	return fmt.Errorf("saga: %s is no %s", quoted(string(text)), of)
}
