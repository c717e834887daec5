package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// workerEnv makes this program the worker: the process that executes the runs, and
// that is killed.
const workerEnv = "MAINSTAY_ORDERS_WORKER"

// A job is what a worker is told, on its standard input. It works as long as that
// stays open.
type job struct {
	Dir    string // of the store
	URLs   map[resource]string
	Orders []Order
}

// A message is what a worker tells, on its standard output.
type message struct {
	Run, Status string  // a run that has come to this; Run is "" of the first message
	Report      *report // the last message: all runs have ended
}

// A report is how runs have ended, in the order of the orders.
type report struct {
	Runs    []ending
	Drawn   string // the run that is drawn
	Mermaid string
}

// An ending is how one run has ended.
type ending struct {
	Order       string
	Status      string
	Reason      string // why it is stuck
	Step, Why   string // of what was undone
	Attempts    int    // of actions and compensations
	Interrupted int    // of them, by the end of a process
	Undone      int    // steps
	Law         string // what is unlawful in its journal
}

var errLeft = errors.New("nobody listens any more")

// work executes the runs of a job, those that another worker has left and new ones,
// until all have ended.
func work(ctx context.Context, in io.Reader, out io.Writer) (err error) {
	var todo job
	lines := json.NewDecoder(in)
	if err := lines.Decode(&todo); err != nil {
		return fmt.Errorf("no job: %w", err)
	}
	ctx, leave := context.WithCancelCause(ctx)
	defer leave(nil)
	go func() { // nothing comes but the end
		_, _ = io.Copy(io.Discard, in)
		leave(errLeft)
	}()

	store, err := filestore.Open(todo.Dir, filestore.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close(context.WithoutCancel(ctx))) }()
	var mu sync.Mutex // messages come from many goroutines
	say := func(m message) error {
		mu.Lock()
		defer mu.Unlock()
		return json.NewEncoder(out).Encode(m)
	}
	if err := say(message{Status: "open"}); err != nil { // a good moment to be killed, too
		return err
	}
	engine, err := durable.Open(store, config(say))
	if err != nil {
		return err
	}
	s := newShop(todo.URLs)
	defer s.close()
	all, err := execute(ctx, engine, checkout(s), todo.Orders)
	// A run has ended before its hook tells so, but not before the engine is closed.
	if err := errors.Join(err, closeEngine(ctx, engine)); err != nil {
		return err
	}
	return say(message{Report: all})
}

// config is that of the engine.
func config(say func(message) error) durable.Config {
	quick := saga.Retry{Wait: 5 * time.Millisecond, MaxWait: 100 * time.Millisecond}
	return durable.Config{
		MaxRunning: 16,
		MaxCrashes: -1, // it is no fault of a run that we kill the process
		Retry:      quick,
		UndoRetry:  quick,
		Hooks: saga.Hooks{Status: func(_ context.Context, e saga.StatusEvent) {
			_ = say(message{Run: e.Run, Status: e.To.String()}) // if nobody listens, ctx ends
		}},
	}
}

// closeEngine waits for the attempts under way. When ctx ends they are cut short.
func closeEngine(ctx context.Context, e *durable.Engine) error {
	if e.Close(ctx) == nil {
		return nil
	}
	return e.Close(context.WithoutCancel(ctx))
}

// execute starts a run for every order and waits for all. An order that was started
// before, perhaps by a process that is no more, has its run already.
func execute(ctx context.Context, engine *durable.Engine, def *saga.Saga[Purchase], orders []Order) (*report, error) {
	if err := durable.Register(engine, def); err != nil { // runs that were left go on
		return nil, err
	}
	var runs []*durable.Run[Purchase]
	for _, o := range orders {
		run, err := durable.Start(ctx, engine, def, o.ID, Purchase{Order: o})
		if err != nil {
			return nil, err
		}
		runs = append(runs, run)
	}
	all := new(report)
	most := 0
	for _, run := range runs {
		_, err := run.Wait(ctx)
		if ended := (*saga.Error)(nil); err != nil && !errors.As(err, &ended) {
			return nil, err
		}
		record, e, err := look(ctx, engine, def, run.ID(), err)
		if err != nil {
			return nil, err
		}
		all.Runs = append(all.Runs, e)
		if e.Status == saga.Compensated.String() && e.Undone > most { // there is most to be seen
			most, all.Drawn, all.Mermaid = e.Undone, e.Order, record.Mermaid()
		}
	}
	return all, nil
}

// look reads what there is about a run that has ended.
func look(ctx context.Context, engine *durable.Engine, def *saga.Saga[Purchase], id string, cause error) (*durable.Record, ending, error) {
	record, err := engine.Get(ctx, id)
	if err != nil {
		return nil, ending{}, err
	}
	e := ending{Order: id, Status: record.Head.Status.String()}
	if failed := (*saga.Error)(nil); errors.As(cause, &failed) {
		e.Step, e.Why = failed.Step, failed.Err.Error()
		if failed.Reason != saga.ReasonNone {
			e.Reason = failed.Reason.String()
		}
	}
	for _, event := range record.Events {
		switch event.Kind {
		case "started", "undo-started":
			e.Attempts++
		case "interrupted":
			e.Interrupted++
		case "undo-done":
			e.Undone++
		}
	}
	if err := sagatest.CheckLaw(def.Plan(), record); err != nil {
		e.Law = err.Error()
	}
	return record, e, nil
}
