package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// strangers is the breaker for servers nobody has promised anything about.
func strangers() breaker.Config {
	return breaker.Config{
		Trip: breaker.Any(
			breaker.ConsecutiveFailures(4),
			breaker.SlowRate(time.Second, 0.5, 5, breaker.LastN(10)),
		),
		OpenFor:    time.Second,
		Backoff:    2,
		CloseAfter: 2,
	}
}

const strangersLimit = 3 * time.Second

// visit calls a URL through base and a breaker, and prints what happened. The
// error tells that no call got an answer.
func visit(ctx context.Context, opt options, base http.RoundTripper, out io.Writer) error {
	log := newTimeline(out)
	log.names = true
	w := &watch{log: log}
	cfg := strangers()
	cfg.Hooks = w.hooks()
	guard, err := protect(base, cfg)
	if err != nil {
		return err
	}
	c := client{
		name:  "mainstay-outbound",
		http:  http.Client{Transport: guard},
		limit: strangersLimit,
		state: alwaysClosed,
		prepare: func(ctx context.Context) (*http.Request, error) {
			return http.NewRequestWithContext(ctx, http.MethodGet, opt.url.String(), nil)
		},
	}
	defer c.http.CloseIdleConnections()

	fmt.Fprintf(out, "GET %v every %v for %v, given up after %v. A breaker opens at\n  %v\nfor %v or more.\n\n",
		opt.url.Redacted(), opt.every, opt.duration, strangersLimit, cfg.Trip, cfg.OpenFor)
	samples := c.repeat(ctx, opt, log)
	fmt.Fprintln(out)
	summary(out, samples)
	breakers := maps.Collect(guard.Group().All())
	for _, host := range slices.Sorted(maps.Keys(breakers)) {
		s := breakers[host].Snapshot()
		fmt.Fprintln(out, fit(fmt.Sprintf("breaker of %s: %v, opened %s", host, s.State, times(s.Trips))))
	}
	fmt.Fprintln(out)
	v := expectAnswer(samples)
	if ctx.Err() != nil && !v.held {
		return errInterrupted // there might have been an answer yet
	}
	if !verdicts(out, []verdict{v}) {
		return errExpectations
	}
	return nil
}

func times(n uint64) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}

// expectAnswer is about a server nobody has promised anything about: any status
// is an answer.
func expectAnswer(samples []sample) verdict {
	answered := 0
	for _, s := range samples {
		if s.status > 0 {
			answered++
		}
	}
	return verdict{answered > 0, "at least one call got an answer", fmt.Sprintf("%d of %d", answered, len(samples))}
}

// repeat calls on the beat until the time is over or ctx is done, and waits for
// the last answer. It tells once a second how the calls of that second went.
func (c *client) repeat(ctx context.Context, opt options, log *timeline) []sample {
	end := time.NewTimer(opt.duration)
	defer end.Stop()
	beat := time.NewTicker(opt.every)
	defer beat.Stop()
	second := time.NewTicker(time.Second)
	defer second.Stop()
	var calls sync.WaitGroup
	var all []sample
	tell := func() {
		s := c.take()
		t := count(s)
		log.printf("%3d calls ended: %3d good, %3d failed, %3d rejected", t.calls, t.calls-t.failed-t.rejected, t.failed, t.rejected)
		all = append(all, s...)
	}
	calls.Go(c.call)
	for over := false; !over; {
		select {
		case <-beat.C:
			calls.Go(c.call)
		case <-second.C:
			tell()
		case <-end.C:
			over = true
		case <-ctx.Done():
			log.printf("interrupted: no more calls, those under way end within %v", c.limit)
			over = true
		}
	}
	calls.Wait()
	tell()
	return all
}

// summary prints how often each kind of answer came, and how long it took.
func summary(w io.Writer, samples []sample) {
	took := make(map[string][]time.Duration)
	for _, s := range samples {
		k := s.kind()
		took[k] = append(took[k], s.ended.Sub(s.began))
	}
	fmt.Fprintf(w, "%d calls\n", len(samples))
	for _, k := range slices.Sorted(maps.Keys(took)) {
		d := took[k]
		slices.Sort(d)
		fmt.Fprintln(w, fit(fmt.Sprintf("%5d  half within %-8v  all within %-8v  %s",
			len(d), short(d[len(d)/2]), short(d[len(d)-1]), k)))
	}
}

// kind is what a caller would call the answer.
func (s sample) kind() string {
	switch {
	case s.rejection != nil:
		return "rejected, " + s.rejection.State.String()
	case s.status > 0:
		k := fmt.Sprintf("%d %s", s.status, http.StatusText(s.status))
		var bad statusError
		if s.err != nil && !errors.As(s.err, &bad) {
			k += ", then " + brief(s.err)
		}
		return k
	}
	return brief(s.err)
}
