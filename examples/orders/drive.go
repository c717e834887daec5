package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A plan is what is to be done.
type plan struct {
	orders []Order
	script script
	kills  int    // how often the worker is killed, unless it is done before
	dir    string // for the runs
	errs   io.Writer
}

// An outcome is what came of it.
type outcome struct {
	orders   []Order
	script   script
	kills    int // that were planned
	lives    []life
	report   *report
	balances map[account]int64
	postings []posting
	tallies  map[resource]*tally
	took     time.Duration
}

// killed is how often the worker was.
func (o outcome) killed() int {
	n := 0
	for _, l := range o.lives {
		if l.killed {
			n++
		}
	}
	return n
}

// moment is the moment at which the i-th worker is killed. Every order has two
// requests' worth of moments at the least, so that the first one never escapes; the
// others share what is usual.
func (p plan) moment(i int) int {
	if i >= p.kills {
		return 0
	}
	most := 2 * len(p.orders)
	if i > 0 {
		most = max(most, 16*len(p.orders)/p.kills)
	}
	return 1 + p.script.dice(fmt.Sprintf("kill %d", i)).IntN(most)
}

// drive has workers execute a run for every order, one worker after the other,
// until one has come to the end of it.
func (p plan) drive(ctx context.Context) (o outcome, err error) {
	began := time.Now()
	books, burning := newLedger(p.orders), new(fuse)
	all := newServices(p.script, books, burning.moment)
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		if closing := all.close(ctx); err == nil {
			err = closing
		}
		o.balances, o.postings = books.books()
		o.tallies, o.took = all.tallies, time.Since(began)
	}()
	if err := all.open(ctx); err != nil {
		return o, err
	}
	o.orders, o.script, o.kills = p.orders, p.script, p.kills
	todo := job{Dir: filepath.Join(p.dir, "runs"), URLs: all.urls, Orders: p.orders}
	if err := os.MkdirAll(todo.Dir, 0o755); err != nil {
		return o, err
	}
	for o.report == nil {
		l, err := workFor(ctx, todo, burning, p.moment(len(o.lives)), p.errs)
		if err != nil {
			return o, err
		}
		o.lives, o.report = append(o.lives, l), l.report
	}
	return o, nil
}
