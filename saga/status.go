package saga

import (
	"fmt"
	"slices"
	"strconv"
)

// An Outcome is what is known about an action.
type Outcome uint8

// The outcomes.
const (
	Unknown  Outcome = iota // it may have had its effect
	Applied                 // it has
	Rejected                // it certainly has not
)

var outcomes = names{"Outcome", []string{"unknown", "applied", "rejected"}}

// String is the name in lower case.
func (o Outcome) String() string { return outcomes.text(uint8(o)) }

// MarshalText is String, so that it is a word in JSON too.
func (o Outcome) MarshalText() ([]byte, error) { return []byte(o.String()), nil }

// UnmarshalText reads what MarshalText has made of an outcome that there is.
func (o *Outcome) UnmarshalText(text []byte) error { return unmarshal(&outcomes, text, o) }

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

var statuses = names{"Status", []string{"none", "running", "waiting", "compensating", "stuck", "completed", "compensated", "abandoned"}}

// String is the name in lower case; "none" for zero.
func (s Status) String() string { return statuses.text(uint8(s)) }

// MarshalText is String, so that it is a word in JSON too.
func (s Status) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads what MarshalText has made of zero or of a status that there is.
func (s *Status) UnmarshalText(text []byte) error { return unmarshal(&statuses, text, s) }

// Ended reports whether nothing will happen any more.
func (s Status) Ended() bool { return s >= Completed && s <= Abandoned }

// A Reason is why a run is stuck.
type Reason uint8

// The reasons.
const (
	NoReason          Reason = iota
	UndoFailed               // a compensation failed for good
	PivotUnknown             // nobody knows whether the pivot took effect
	ForwardFailed            // a step after the pivot failed for good
	DefinitionChanged        // the saga has no place for what was recorded
	CrashLoop                // the process died too often within one step
	JournalUnreadable        // what was recorded makes no sense
)

var reasons = names{"Reason", []string{
	"no reason", "undo failed", "pivot unknown", "forward failed", "definition changed", "crash loop", "journal unreadable",
}}

// String is the name in words.
func (r Reason) String() string { return reasons.text(uint8(r)) }

// MarshalText is String, so that it is words in JSON too.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText reads what MarshalText has made of a reason that there is.
func (r *Reason) UnmarshalText(text []byte) error { return unmarshal(&reasons, text, r) }

// names are those of the values of a type, from zero on.
type names struct {
	of  string
	all []string
}

// text is the name of a value. One without is shown as a constant of Go without a name.
func (n *names) text(i uint8) string {
	if int(i) >= len(n.all) {
		return n.of + "(" + strconv.Itoa(int(i)) + ")"
	}
	return n.all[i]
}

// unmarshal is the value with a name.
func unmarshal[T ~uint8](n *names, text []byte, v *T) error {
	i := slices.Index(n.all, string(text))
	if i < 0 {
		return fmt.Errorf("saga: %s is no %s", quoted(string(text)), n.of)
	}
	*v = T(i)
	return nil
}
