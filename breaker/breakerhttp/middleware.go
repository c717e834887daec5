package breakerhttp

import (
	"context"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// Middleware returns a function that puts a breaker in front of a handler, so
// that a server in trouble answers at once instead of piling up work. It panics
// if b is nil or was not made by [breaker.New], and so does the function if the
// handler is nil.
//
// A request is rejected with [WriteRejection]; one whose context is done
// already, with a plain 503. Else the handler runs, on the same goroutine and
// with the same request, and its response decides: a status of 500 and above is
// a failure, and so is a panic, which goes on, [http.ErrAbortHandler] too, or
// runtime.Goexit. All else is a success: 429 too, since it is what this server
// says of its client; and a handler that wrote nothing, since net/http answers
// 200 for it. Informational statuses do not decide. A connection that is hijacked
// is a success then and there, whatever becomes of it: how long a client stays
// says nothing. Ignored is:
//
//   - what is answered to a client that went away, that is, whose request's
//     context is done, but not by a deadline. To net/http that is also whoever
//     could not be written to before [http.Server.WriteTimeout], because the
//     handler was too slow or because the client reads too slowly. A SlowRate
//     rule counts such a request; an http.TimeoutHandler inside makes a failure
//     of the first kind;
//   - a 503 that [WriteRejection] wrote, because what the handler needs is
//     guarded by a breaker of its own. Other middleware in between must let it
//     be seen by an Unwrap method as in [http.ResponseController].
//
// A handler that takes longer than Config.ProbeLease is lost as a probe, so leave
// room for the longest; one that writes all the while makes progress, as in
// [breaker.Permit.Progress], and is not lost. The Config.Classify of the breaker
// is not asked. The handler's [http.ResponseWriter] is an [http.Flusher],
// [http.Hijacker] or [io.ReaderFrom] if it is one without Middleware, also a
// Hijacker if one can be reached by Unwrap, and works with
// http.ResponseController; it is never an http.Pusher or http.CloseNotifier, and
// an http.MaxBytesReader inside cannot close the connection: put
// http.MaxBytesHandler outside.
func Middleware(b *breaker.Breaker) func(http.Handler) http.Handler {
	if b == nil {
		panic(errNilBreaker)
	}
	b.State() // panics for a zero Breaker, now rather than with the first request
	return func(next http.Handler) http.Handler {
		if next == nil {
			panic(errNilHandler)
		}
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { serve(b, next, w, r) })
	}
}

func serve(b *breaker.Breaker, next http.Handler, w http.ResponseWriter, r *http.Request) {
	seen := &writer{ResponseWriter: w}
	var err error
	if seen.permit, err = b.Allow(r.Context()); err != nil {
		if !WriteRejection(w, err) {
			// Not to answer would be a 200.
			unavailable(w)
		}
		return
	}
	returned := false
	defer func() { // without recover, so that a panic goes on with its stack
		seen.permit.Record(judge(r, seen, returned))
	}()
	next.ServeHTTP(seen.dress(), r)
	returned = true
}

// judge is the outcome of a handler, and the error behind it.
func judge(r *http.Request, seen *writer, returned bool) (breaker.Outcome, error) {
	switch {
	case gone(r.Context()):
		return breaker.Ignored, context.Cause(r.Context())
	case !returned:
		return breaker.Failure, errServing
	case seen.rejected && seen.status == http.StatusServiceUnavailable:
		return breaker.Ignored, &StatusError{Code: seen.status}
	case failure(seen.status):
		return breaker.Failure, &StatusError{Code: seen.status}
	}
	return breaker.Success, nil
}

// gone reports whether the client does not wait any more. It is what makes a
// cancelled call Ignored: the context is done, and not by a deadline.
func gone(ctx context.Context) bool {
	return breaker.DefaultClassify(ctx, context.Canceled) == breaker.Ignored
}

// WriteRejection answers 503 Service Unavailable if err is a rejection, wrapped
// or not, and reports whether it was; else it writes nothing. It is for handlers
// whose own calls were rejected. An enclosing [Middleware] ignores the 503.
//
// Retry-After is the time left until the breaker admits a probe, in seconds,
// rounded up; without an estimate there is none. Name and Cause of the
// rejection stay inside.
func WriteRejection(w http.ResponseWriter, err error) bool {
	if !errors.Is(err, breaker.ErrRejected) {
		return false
	}
	w.Header().Del("Retry-After")
	var rejection *breaker.RejectedError
	if errors.As(err, &rejection) && rejection != nil {
		if d := rejection.RetryAfter(); d > 0 {
			w.Header().Set("Retry-After", strconv.FormatInt(wholeSeconds(d), 10))
		}
	}
	announce(w)
	unavailable(w)
	return true
}

func unavailable(w http.ResponseWriter) {
	http.Error(w, http.StatusText(http.StatusServiceUnavailable), http.StatusServiceUnavailable)
}

// wholeSeconds rounds up. Adding first would overflow: a breaker may be open
// for 292 years.
func wholeSeconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}
