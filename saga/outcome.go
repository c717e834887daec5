package saga

import "time"

// Reject tells that an action certainly had no effect, and that there is no point
// in trying again. Nil stays nil. It is found through wrapping, and changes
// nothing about the text of err or what it Is.
func Reject(err error) error {
	if err == nil {
		return nil
	}
	return &rejection{err}
}

// RetryAfter asks for another attempt after d, whatever the policy says about
// waits; 0 is the wait of the policy. It says nothing about the effect, unless
// there is a Reject inside: RetryAfter(Reject(err), d) is "not applied, try
// again". Nil stays nil. Negative d is 0.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &postponement{err, max(d, 0)}
}

type rejection struct{ err error }

func (r *rejection) Error() string { return r.err.Error() }
func (r *rejection) Unwrap() error { return r.err }

type postponement struct {
	err error
	d   time.Duration
}

func (p *postponement) Error() string { return p.err.Error() }
func (p *postponement) Unwrap() error { return p.err }

// An answer is what one attempt said.
type answer struct {
	outcome Outcome
	err     error         // nil with Applied
	again   bool          // the error asks for another attempt
	after   time.Duration // with again: the wait; 0: that of the policy
	final   bool          // there is no point in another attempt
	panic   *PanicError   // the attempt did not return
}

// answerTo judges what Do or Undo returned. Classify is asked about what carries
// no verdict of its own.
func answerTo(err error, classify func(error) error) answer {
	if err == nil {
		return answer{outcome: Applied}
	}
	a, told := verdictOf(err)
	if told || classify == nil {
		return a
	}
	if err = classify(err); err == nil {
		return answer{outcome: Applied}
	}
	a, _ = verdictOf(err)
	return a
}

// verdictOf reads Reject and RetryAfter from an error.
func verdictOf(err error) (a answer, told bool) {
	a.err = err
	told = read(err, &a)
	return a, told
}

// read goes through the tree of an error, by hand because errors.As allocates. It does
// not look into the error of a saga within that is stuck: that has left something
// undone, whatever made it fail.
func read(err error, a *answer) (told bool) {
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case *rejection:
		a.outcome, told = Rejected, true
	case *postponement:
		if !a.again {
			a.again, a.after, told = true, e.d, true
		}
	case *Error:
		if e.Status == Stuck {
			return false
		}
	}
	switch e := err.(type) { //nolint:errorlint // this is what unwraps
	case interface{ Unwrap() error }:
		if next := e.Unwrap(); next != nil {
			return read(next, a) || told
		}
	case interface{ Unwrap() []error }:
		for _, next := range e.Unwrap() {
			told = read(next, a) || told
		}
	}
	return told
}

// panicked is the answer of an attempt that did not return.
func panicked(p *PanicError) answer { return answer{err: p, panic: p, final: true} }
