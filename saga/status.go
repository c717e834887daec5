package saga

import "strconv"

// An Outcome is what is known about an action.
type Outcome uint8

// The outcomes.
const (
	Unknown  Outcome = iota // it may have had its effect
	Applied                 // it has
	Rejected                // it certainly has not
)

// String is the name in lower case.
func (o Outcome) String() string { return name(int(o), "unknown", "applied", "rejected") }

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

// String is the name in lower case.
func (s Status) String() string {
	return name(int(s), "none", "running", "waiting", "compensating", "stuck", "completed", "compensated", "abandoned")
}

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

// String is the name in words.
func (r Reason) String() string {
	return name(int(r), "no reason", "undo failed", "pivot unknown", "forward failed", "definition changed", "crash loop", "journal unreadable")
}

func name(i int, names ...string) string {
	if i < 0 || i >= len(names) {
		return "invalid " + strconv.Itoa(i)
	}
	return names[i]
}
