// Command checkout is a shop that stays up: all of Mainstay at work.
//
// An order service takes orders and executes a durable saga for each: reserve,
// charge, label and invoice, ship, pick. Each step is an HTTP call of a service by its
// name: stock, payment in three instances, shipping in two, all of them real servers on
// loopback that register themselves with leases. The transport chooses an instance, and
// each has a circuit breaker. What the packages tell goes over an event bus to a ledger,
// a notifier, an audit log, and a page.
//
//	go run ./examples/checkout
//	go run ./examples/checkout -http 127.0.0.1:8080
//
// Meanwhile a script has an instance turn slow, one die, one answer too late, one be
// overloaded and then all of payment, and the order service crash: its store fails, its
// engine is dropped, and another one goes on with the journal. What to look at: in the
// lines that come as things happen, who notices what; at the end, the expectations. They
// compare the books of the services with how the runs have ended: all or nothing for
// every order, nothing twice, every cent and every lamp where it belongs.
//
// With -http there is a page to watch, with buttons to break things by hand. Then orders
// come until Ctrl-C, and the script is played once. Without the script, -faults none, all
// is quiet.
//
// Other orders, one JSON object per line, come with -orders, "-" for standard input. With
// the same -seed the same customers come in the same order and meet the same refusals and
// faults, but not to the microsecond. The journal and the audit log are in -dir, which
// must be empty or new and is kept.
//
// No run is ever stuck here: compensation is tried until it works. Events are lost only if
// the disk is slower than the audit log needs. What the page keeps and the books grow with
// every order, by some hundred megabytes an hour.
//
// It takes some 20 seconds, or what -for says. Ctrl-C has no more customers come; a
// second one ends it.
//
// To read it: saga.go has the steps, client.go what connects registry and breaker,
// office.go the engine, events.go what goes over the bus, and subscribers.go who listens.
// shop.go puts everybody together. server.go, counter.go and database.go are a service;
// script.go and faults.go break it; board.go, progress.go and view.go make the page of what
// the bus tells; outcome.go, expect.go and report.go look at the books.
//
// The exit status is 0 if the books are right, 1 if not, 2 for wrong usage or a file of
// orders that is wrong. That is so of the program when it is built, not by go run, which
// ends with 1 for each of the two.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	context.AfterFunc(ctx, stop) // a second Ctrl-C does not wait
	status := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(status)
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
	p := plan{
		script: script{opt.seed}, tempo: tempo{opt.within}, faults: opt.faults == "script", forever: opt.page != "",
	}
	var release func() error
	if p.orders, err = loadOrders(opt.orders, in); err == nil {
		p.dir, release, err = opt.claim()
	}
	if err != nil {
		fmt.Fprintln(errs, "checkout:", err)
		return 2
	}
	err = errors.Join(perform(ctx, p, opt.page, out), release())
	if err != nil {
		fmt.Fprintln(errs, "checkout:", err)
		return 1
	}
	return 0
}

const (
	longest = 5 * time.Minute // more than any order takes
	grace   = 30 * time.Second
)

var (
	errStuck        = fmt.Errorf("not over after %v", longest)
	errExpectations = errors.New("not all expectations held")
)

// perform opens the shop, plays what is planned, closes it, and tells what came of it.
func perform(ctx context.Context, p plan, addr string, out io.Writer) error {
	introduce(out, p)
	o, err := observe(ctx, p, addr, out)
	if err != nil {
		return err
	}
	tell(out, o)
	if !verdicts(out, judge(o)) {
		return errExpectations
	}
	return nil
}

// observe is perform without what is said at the end: it counts what goes on afterwards.
func observe(ctx context.Context, p plan, addr string, out io.Writer) (outcome, error) {
	before := goroutines()
	o, err := stage(ctx, p, addr, out)
	if err != nil {
		return o, err
	}
	settle(func() bool { return goroutines() <= before })
	o.left = max(goroutines()-before, 0)
	return o, nil
}

// stage is observe without a look at what goes on afterwards, which is of everybody in
// this process.
func stage(ctx context.Context, p plan, addr string, out io.Writer) (o outcome, err error) {
	o.plan = p
	began := time.Now()
	lines := &timeline{out: out}
	s, err := newShop(ctx, p.script, p.tempo, p.dir, lines.say)
	if err != nil {
		return o, err
	}
	err = s.open(ctx)
	if err == nil {
		err = s.watched(ctx, addr, out, func() (err error) {
			o.tally, err = s.play(ctx, p)
			return err
		})
	}
	if err == nil {
		err = s.ask(context.WithoutCancel(ctx), &o)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err = errors.Join(err, s.close(last)); err != nil {
		return o, err
	}
	s.collect(&o)
	o.took = time.Since(began)
	return o, nil
}

// watched does something while there is a page to watch, if there is an address.
func (s *shop) watched(ctx context.Context, addr string, out io.Writer, do func() error) (err error) {
	if addr == "" {
		return do()
	}
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "localhost" // it listens everywhere, and there is one name for here
	}
	p, err := page.New(s, page.Config{Hosts: []string{host}})
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	server := &http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.topics.tell("there is no page any more: "+err.Error(), true)
		}
	})
	fmt.Fprintf(out, "Look at http://%s and break something. Ctrl-C ends it.\n\n", net.JoinHostPort(host, port))
	defer func() {
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err = errors.Join(err, p.Close(last), server.Shutdown(last))
		serving.Wait()
	}()
	return do()
}

// goroutines is how many there are. The runtime still counts some that are at their
// very end; to stop the world, as Stack does, is to wait for those.
func goroutines() int {
	runtime.Stack(nil, true)
	return runtime.NumGoroutine()
}

// settle waits until ok holds, at most some seconds.
func settle(ok func() bool) {
	for began := time.Now(); !ok() && time.Since(began) < 5*time.Second; {
		time.Sleep(5 * time.Millisecond)
	}
}
