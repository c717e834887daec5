// Command outbound shows what a circuit breaker does for outbound HTTP calls.
//
// It starts a server on loopback that works, then fails in five ways, and works
// again after each: slow answers, errors, overload with Retry-After, connection
// resets, bodies that hang. Two clients call it side by side at the same pace.
// They differ in one thing: protect, in client.go, has put breakers in front of
// one of them.
//
//	go run ./examples/outbound
//
// What to look at: in the timeline, how few calls each opening took and that
// its reason names the fault; in the table, how much less the protected client
// waited (a rejection is instant) and how few calls reached the sick server; at
// the end, the expectations.
//
// With -url it calls a real URL through a breaker instead, every so often (-every,
// 200ms) for some time (-for, 10s), and tells what happened. It expects one thing:
// that at least one call got an answer, whatever its status.
//
//	go run ./examples/outbound -url https://example.com/ -for 10s -every 500ms
//
// Ctrl-C ends both: no more calls are made, and those under way are waited for
// until they are given up, unless there is a second Ctrl-C.
//
// The exit status is 0 if all expectations held, 1 if not or if interrupted
// before that was known, 2 for wrong usage. That is so of the program when it is
// built, not by go run, which ends with 1 for each of the two.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	status := run(ctx, fullScript(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is main with everything handed to it. It returns the exit status.
func run(ctx context.Context, s script, args []string, out, errs io.Writer) int {
	opt, err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if opt.url != nil {
		err = visit(ctx, opt, freshTransport(), out)
	} else {
		var l net.Listener
		if l, err = (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0"); err == nil {
			err = play(ctx, s, l, freshTransport, out)
		}
	}
	if err != nil {
		fmt.Fprintln(errs, "outbound:", err)
		return 1
	}
	return 0
}

const usage = `Outbound shows what a circuit breaker does for outbound HTTP calls.

	outbound
	outbound -url URL [-for duration] [-every duration]

Without flags it starts a server on loopback that works, then fails in five ways,
and works again after each. Two clients call it side by side, one of them with
breakers. It takes some ten seconds, tells what happens as it happens, and checks
at the end that the breaker did what it is for.

With -url it calls a real URL through a breaker instead, and expects that at least
one call gets an answer, whatever its status. Ctrl-C ends it early.

The exit status is 0 if all expectations held, 1 if not, 2 for wrong usage (when
built; go run makes that 1).

`

type options struct {
	url      *url.URL // nil: play the script
	duration time.Duration
	every    time.Duration
}

// parse reads the command line. What is wrong with it has been told.
func parse(args []string, errs io.Writer) (options, error) {
	var opt options
	fs := flag.NewFlagSet("outbound", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() {
		fmt.Fprint(errs, usage)
		fs.PrintDefaults()
	}
	target := fs.String("url", "", "call this `URL` instead of playing the script")
	fs.DurationVar(&opt.duration, "for", 10*time.Second, "with -url: how long")
	fs.DurationVar(&opt.every, "every", 200*time.Millisecond, "with -url: time from one call to the next")
	if err := fs.Parse(args); err != nil {
		return opt, err // told by fs
	}
	set := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { set[f.Name] = true })

	var err error
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case !set["url"] && set["for"]:
		err = fmt.Errorf("-for is %v, want it only with -url", opt.duration)
	case !set["url"] && set["every"]:
		err = fmt.Errorf("-every is %v, want it only with -url", opt.every)
	case opt.duration <= 0:
		err = fmt.Errorf("-for is %v, want more than 0", opt.duration)
	case opt.every < time.Millisecond:
		err = fmt.Errorf("-every is %v, want at least 1ms", opt.every)
	case set["url"]:
		opt.url, err = parseURL(*target)
	}
	if err != nil {
		fmt.Fprintln(errs, "outbound:", err)
	}
	return opt, err
}

func parseURL(target string) (*url.URL, error) {
	u, err := url.Parse(target)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, fmt.Errorf("-url is %q, want http://host/path or https://host/path", target)
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, fmt.Errorf("-url is %q, want a port from 1 to 65535", target)
		}
	}
	return u, nil
}

// freshTransport is a http.DefaultTransport with connections of its own.
func freshTransport() http.RoundTripper {
	if t, ok := http.DefaultTransport.(*http.Transport); ok {
		return t.Clone()
	}
	return http.DefaultTransport
}

var (
	errExpectations = errors.New("not all expectations held")
	errInterrupted  = errors.New("interrupted, so the expectations were not checked")
)

// play runs a script against a server on l and prints what happened. The error
// tells that it was not as expected.
func play(ctx context.Context, s script, l net.Listener, base func() http.RoundTripper, out io.Writer) error {
	before := goroutines()
	d, err := newDrive(s, l, base, newTimeline(out))
	if err != nil {
		l.Close()
		return err
	}
	fmt.Fprintf(out, `A server works, fails in one way after another, and works again after each.
Two clients POST to it every %v and give up after %v. One has a breaker, which opens at
%s
It stays open for %v, doubling up to %v. Then it lets one call at a time through
to probe the server, until %d good ones close it.

`, s.every, s.limit, fit(fmt.Sprintf("  %v.", s.breaker.Trip)), s.breaker.OpenFor, s.breaker.MaxOpenFor, s.breaker.CloseAfter)

	stages := d.run(ctx)
	left := d.clear(before)
	fmt.Fprintln(out)
	table(out, stages)
	fmt.Fprintln(out)
	conclusion(out, stages)
	fmt.Fprintln(out)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if !verdicts(out, judge(s, stages, left)) {
		return errExpectations
	}
	return nil
}
