// Command orders shows sagas that survive the death of the process.
//
// Each order of a file is a run of the saga in checkout.go: reserve, charge, label
// and invoice, ship, mail. The services are real HTTP servers on loopback, and fail
// in all the ways there are: they are down or busy, connections break before or
// after the work is done, answers come too late or never, requests are refused, and
// some arrive when the run has long gone back. The runs are executed by a worker, a
// second process of this program, with a store in a directory.
//
//	go run ./examples/orders
//	go run ./examples/orders -kill
//
// With -kill the worker is killed at bad moments, such as that between an effect and
// its answer, and the next one goes on where it was, -kills times (3). What to look
// at: in the tables, how much came again and changed nothing; at the end, the
// expectations. They compare the books of the services with how the runs have ended:
// all or nothing for every order, nothing twice, every cent and every lamp where it
// belongs.
//
// Other orders, one JSON object per line, come with -orders, "-" for standard input;
// -seed is for other faults and other moments. The store is in -dir, which must be
// empty or new and is kept; without it, in a temporary directory. One run that was
// compensated is drawn as a Mermaid flowchart, in the file -mermaid, in -dir, or else
// in the output.
//
// It takes a few seconds, most of which it waits for answers that do not come. Ctrl-C
// ends it.
//
// The exit status is 0 if all expectations held, 1 if not or if interrupted before
// that was known, 2 for wrong usage or a file of orders that is wrong. That is so of
// the program when it is built, not by go run, which ends with 1 for each of the two.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"
)

func main() {
	if os.Getenv(workerEnv) != "" {
		os.Exit(workerMain())
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
}

// workerMain is main of the worker.
func workerMain() int {
	if err := work(context.Background(), os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "orders: worker:", err)
		return 1
	}
	return 0
}

// run is main with everything handed to it. It returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errs io.Writer) int {
	opt, err := parse(args, errs)
	switch {
	case errors.Is(err, errHelp):
		return 0
	case err != nil:
		return 2
	}
	orders, err := loadOrders(opt.orders, in)
	if err == nil {
		err = opt.claim()
	}
	if err != nil {
		fmt.Fprintln(errs, "orders:", err)
		return 2
	}
	p := plan{orders: orders, script: script{opt.seed}, kills: opt.kills, dir: opt.dir, errs: errs}
	ctx, cancel := context.WithTimeoutCause(ctx, longest, errStuck)
	defer cancel()
	if err := play(ctx, p, opt, out); err != nil {
		fmt.Fprintln(errs, "orders:", err)
		return 1
	}
	return 0
}

// longest is more than all of it takes, unless there are very many orders.
const longest = 10 * time.Minute

var (
	errStuck        = fmt.Errorf("not over after %v", longest)
	errExpectations = errors.New("not all expectations held")
	errInterrupted  = errors.New("interrupted, so the expectations were not checked")
)

// play has the orders executed and prints what happened. The error tells that it was
// not as expected.
func play(ctx context.Context, p plan, opt options, out io.Writer) (err error) {
	if p.dir == "" {
		if p.dir, err = os.MkdirTemp("", "orders"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, os.RemoveAll(p.dir)) }()
	}
	introduce(out, p)
	o, err := p.drive(ctx)
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return errInterrupted
	case err != nil:
		return err
	}
	return present(out, o, opt)
}

// present prints what came of it, and judges that.
func present(out io.Writer, o outcome, opt options) error {
	tell(out, o)
	if err := draw(out, o.report, opt); err != nil {
		return err
	}
	if !verdicts(out, judge(o)) {
		return errExpectations
	}
	return nil
}

// draw shows a run that was compensated.
func draw(out io.Writer, r *report, opt options) error {
	name := opt.drawing()
	switch {
	case r.Drawn == "":
		fmt.Fprintln(out, "No run was compensated, so there is nothing to draw.")
	case name == "":
		fmt.Fprintf(out, "This is the run of %s:\n\n%s", r.Drawn, r.Mermaid)
	default:
		if err := os.WriteFile(name, []byte(r.Mermaid), 0o644); err != nil {
			return err
		}
		fmt.Fprintf(out, "The run of %s is drawn in %s.\n", r.Drawn, name)
	}
	fmt.Fprintln(out)
	return nil
}
