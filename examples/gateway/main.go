// Command gateway shows what a service registry, a balancer and circuit breakers
// do together for HTTP calls.
//
// Three backends on loopback register themselves as instances of the service
// "orders". A gateway in front of them sends every call to one of them: by the
// name of the service, to the one that is likely to answer soonest, and with a
// breaker per instance as the gate. Then one backend turns slow and recovers, one
// dies without a word, and one drains and stops.
//
//	go run ./examples/gateway
//
// What to look at: in the timeline, how the share of the calls that each backend
// gets follows how it is, and who finds out about the dead one and when; in the
// table, that nothing of all this failed a call; at the end, the expectations.
//
// It takes some four seconds. Ctrl-C ends it: no more calls are made, and those
// under way are waited for.
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
	"os"
	"os/signal"
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
	err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	if err := play(ctx, s, loopback(), out); err != nil {
		fmt.Fprintln(errs, "gateway:", err)
		return 1
	}
	return 0
}

const usage = `Gateway shows what a registry, a balancer and breakers do for HTTP calls.

	gateway

Three backends on loopback register themselves, and a client calls them through a
gateway. One turns slow and recovers, one dies without a word, one drains and
stops. It takes some four seconds, tells what happens as it happens, and checks at
the end that no call failed.

The exit status is 0 if all expectations held, 1 if not, 2 for wrong usage (when
built; go run makes that 1).
`

// parse reads the command line. What is wrong with it has been told.
func parse(args []string, errs io.Writer) error {
	fs := flag.NewFlagSet("gateway", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() { fmt.Fprint(errs, usage) }
	if err := fs.Parse(args); err != nil {
		return err // told by fs
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(errs, "gateway:", err)
		return err
	}
	return nil
}

var (
	errExpectations = errors.New("not all expectations held")
	errInterrupted  = errors.New("interrupted, so the expectations were not checked")
)

// play runs a script on a network and prints what happened. The error tells that
// it was not as expected.
func play(ctx context.Context, s script, n network, out io.Writer) error {
	introduce(out, s)
	before := goroutines()
	d, err := newDrive(ctx, s, n, newTimeline(out))
	if err != nil {
		return err
	}
	stages := d.run(ctx)
	d.log.printf("--- end: everybody leaves")
	left := d.clear(before)
	fmt.Fprintln(out)
	table(out, stages)
	fmt.Fprintln(out)
	if ctx.Err() != nil {
		return errInterrupted
	}
	if !verdicts(out, judge(s, stages, d.ledger.totals(), left)) {
		return errExpectations
	}
	return nil
}
