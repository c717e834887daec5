package saga

// A verdict is what follows from an attempt that was not seen to be applied.
type verdict uint8

const (
	again   verdict = iota // there is another attempt
	failed                 // for good: the run goes back
	halted                 // for good, and there is no way back: the run is stuck
	settled                // it is applied after all
)

// A position is where a step stands when an attempt of it has ended.
type position struct {
	pivot   bool // it is the pivot
	pivoted bool // it comes after the pivot, which is applied
	tainted bool // some attempt may have been applied
	left    bool // there are attempts left by the policy
	ownLeft bool // there are by the step's own policy, which may be none
}

// decide is what follows from an answer that is not Applied.
//
// What may have happened is never taken for not having happened: an answer of
// Rejected after an unknown one may be about the repetition, so a tainted pivot is
// neither left nor gone back from. A panic is no matter of trying again.
func (p position) decide(a answer) verdict {
	final := a.outcome == Rejected && !a.again || a.final
	switch {
	case p.pivoted, p.pivot && p.tainted:
		if a.final || !p.ownLeft || p.pivoted && final {
			return halted
		}
	default:
		if final || !p.left {
			return failed
		}
	}
	return again
}

// overdue is decide when there can be no other attempt, because the run was
// cancelled or is out of time.
func (p position) overdue() verdict {
	if p.pivoted || p.pivot && p.tainted {
		return halted
	}
	return failed
}

// reason is why a run is stuck at a step.
func (p position) reason() Reason {
	if p.pivoted {
		return ReasonForwardFailed
	}
	return ReasonPivotUnknown
}
