package registry

import "time"

// An appointment is a timer for something under the lock of a roster, which also
// guards its fields. A timer that was cancelled may fire all the same, a Mock's
// even after its stop reported that it came in time; so each has a number.
type appointment struct {
	n    uint64
	stop func() bool
}

// set replaces the timer. do may return what is to be done after the lock.
func (a *appointment) set(r *roster, d time.Duration, do func() (then func())) {
	a.cancel()
	n := a.n
	a.stop = r.reg.time.afterFunc(d, func() {
		if !r.lock() {
			return
		}
		var then func()
		if a.n == n {
			then = do()
		}
		r.unlock(another)
		if then != nil {
			then()
		}
	})
}

func (a *appointment) cancel() {
	a.n++
	if a.stop != nil {
		a.stop()
		a.stop = nil
	}
}
