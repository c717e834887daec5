// Package composedbench measures what a call to a service costs that goes
// through package registryhttp with a breaker per instance, whose hooks publish
// on an event bus, against the same call by a bare http.Client.
//
// All clients call the same servers on loopback, in this process, over
// connections that are kept. That the servers had every call once, and that what
// is in front of them opens when they fail, is looked at afterwards.
package composedbench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

const service = "payment"

// background is the context of whatever needs none.
var background = context.Background()

// A kind is what is called, by how many callers at once.
type kind struct {
	method    string
	instances int
	callers   int
}

// A client is set up to call the instances of a service.
type client struct {
	host    func() string                             // of the URL of the next call
	call    func(req *http.Request, buf []byte) error // makes it and reads the answer to its end
	counted func(calls int) error                     // whether so many calls were noticed; may be nil
	refuses func(call func() error) error             // whether calls to servers that fail are refused in the end; may be nil
	closing func()
}

// calling is a case whose operation is one call.
func calling(k kind, s sites, w way) bench.Case {
	return bench.Case{Name: w.name, New: func() bench.Run {
		at := s.of(k.instances)
		at.begin()
		c := w.set(at.addrs)
		one := c.caller(k)
		var err error
		return bench.Run{
			Loop: func(n int) (passed, failed int) {
				if err = share(k.callers, n, func(_ int, buf []byte) error { return one(buf) }); err != nil {
					return 0, n
				}
				return n, 0
			},
			Why:   func() error { return err },
			Check: func(n int) error { return c.check(at, n, one) },
			Close: c.closing,
		}
	}}
}

// caller makes calls of a kind.
func (c client) caller(k kind) func(buf []byte) error {
	return func(buf []byte) error { return c.call(k.request(c.host()), buf) }
}

// request is a new one, as for every call.
func (k kind) request(host string) *http.Request {
	if k.method == http.MethodGet {
		return got(http.NewRequestWithContext(background, k.method, "http://"+host+"/charges/c-7", nil))
	}
	req := got(http.NewRequestWithContext(background, k.method, "http://"+host+"/charges", strings.NewReader(order)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Idempotency-Key", "o-7/charge")
	return req
}

// share has callers make n calls, each with its number and a buffer. Each caller
// stops at its first error.
func share(callers, n int, call func(i int, buf []byte) error) error {
	errs := make([]error, callers)
	var all sync.WaitGroup
	for c := range callers {
		all.Go(func() {
			buf := make([]byte, bufBytes)
			for i := c * n / callers; i < (c+1)*n/callers && errs[c] == nil; i++ {
				errs[c] = call(i, buf)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// exchange sends a request and reads the answer, as all clients do in the end.
func exchange(c *http.Client, req *http.Request, buf []byte) error {
	resp, err := c.Do(req)
	if err != nil {
		return err
	}
	n := 0
	for err == nil {
		var read int
		read, err = resp.Body.Read(buf[n:])
		n += read
	}
	if closing := resp.Body.Close(); !errors.Is(err, io.EOF) || closing != nil {
		return errors.Join(err, closing)
	}
	if resp.StatusCode != http.StatusOK || string(buf[:n]) != answer {
		return fmt.Errorf("status %d: %.100q", resp.StatusCode, buf[:n])
	}
	return nil
}

// check tells whether n calls came to the servers and were noticed, and whether
// what is in front of servers that fail opens.
func (c client) check(at *site, n int, one func(buf []byte) error) error {
	all, least := at.hits()
	err := errors.Join(
		want(all == n, "the servers had %d calls, not %d", all, n),
		want(n < 100 || least > 0, "one of the servers had no call"),
	)
	if c.counted != nil {
		err = errors.Join(err, c.counted(n))
	}
	if c.refuses != nil {
		at.fail()
		buf := make([]byte, bufBytes)
		err = errors.Join(err, c.refuses(func() error { return one(buf) }))
	}
	return err
}

// bufBytes is room for an answer.
const bufBytes = 512

// refused makes calls until one is refused.
func refused(call func() error, by error) error {
	var err error
	for range 100 {
		if err = call(); errors.Is(err, by) {
			return nil
		}
	}
	return fmt.Errorf("not refused after failures: %w", err)
}

// must is for what cannot fail while a case is set up or taken down.
func must(err error) {
	if err != nil {
		panic(err)
	}
}

// got is must for what has a result.
func got[T any](v T, err error) T {
	must(err)
	return v
}

// want is an error if a condition does not hold.
func want(holds bool, format string, args ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, args...)
}
