// Command events shows what the overflow policies of an event bus do.
//
// An order service publishes every order on a topic with two subscriptions: a
// dashboard, which is fast, and a mailer, which is not. On one day after another,
// the same in all but the policy of the two, orders come faster than the mail
// server sends, until the mailer has no room for another.
//
//	go run ./examples/events
//
// What to look at: under each policy, what the mailer saw and what it cost the
// shop; in the table, that every order is accounted for; at the end, the
// expectations.
//
// Nothing depends on time, so the output is the same each time. Ctrl-C ends it.
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
	"time"

	"github.com/mainstay-go/mainstay/eventbus"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	status := run(ctx, usualDay(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// run is main with everything handed to it. It returns the exit status.
func run(ctx context.Context, d day, args []string, out, errs io.Writer) int {
	err := parse(args, errs)
	switch {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return 2
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, errStuck)
	defer cancel()
	if err := play(ctx, d, out); err != nil {
		fmt.Fprintln(errs, "events:", err)
		return 1
	}
	return 0
}

const usage = `Events shows what the overflow policies of an event bus do.

	events

An order service publishes orders to a fast and a slow subscription, under one
policy after another. It prints what each of them saw, and checks that every order
is accounted for.

The exit status is 0 if all expectations held, 1 if not, 2 for wrong usage (when
built; go run makes that 1).
`

// parse reads the command line. What is wrong with it has been told.
func parse(args []string, errs io.Writer) error {
	fs := flag.NewFlagSet("events", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() { fmt.Fprint(errs, usage) }
	if err := fs.Parse(args); err != nil {
		return err // told by fs
	}
	if fs.NArg() > 0 {
		err := fmt.Errorf("unexpected argument %q", fs.Arg(0))
		fmt.Fprintln(errs, "events:", err)
		return err
	}
	return nil
}

// patience is more than all of it takes on any machine.
const patience = time.Minute

var (
	errStuck        = fmt.Errorf("not over after %v", patience)
	errExpectations = errors.New("not all expectations held")
)

// policies are those there are.
var policies = []eventbus.Overflow{
	eventbus.Block, eventbus.DropOldest, eventbus.DropNewest, eventbus.Fail, eventbus.Disconnect, eventbus.Unbounded,
}

// play plays the day under each of the policies and prints what happened. The
// error tells that it was not as expected.
func play(ctx context.Context, d day, out io.Writer) error {
	introduce(out, d)
	var outcomes []outcome
	for _, policy := range policies {
		o, err := d.play(ctx, policy)
		if err != nil {
			return fmt.Errorf("%v: %w", policy, err)
		}
		tell(out, o)
		outcomes = append(outcomes, o)
	}
	table(out, outcomes)
	if !verdicts(out, judge(outcomes)) {
		return errExpectations
	}
	return nil
}
