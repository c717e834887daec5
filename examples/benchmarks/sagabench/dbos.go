package sagabench

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"github.com/dbos-inc/dbos-transact-golang/dbos"
	_ "github.com/dbos-inc/dbos-transact-golang/dbos/driver/sqlite" // registers SQLite
)

var quiet = slog.New(slog.DiscardHandler)

// closing is how long those who are not asked to wait for ever may take to close.
const closing = time.Minute

// dbosWorkflow is the saga as its documentation has it: the steps one by one, and
// when one fails, those before it undone in steps of their own.
func dbosWorkflow(l load, m *made) dbos.Workflow[int, int] {
	return func(ctx dbos.Context, n int) (int, error) {
		for i, name := range stepNames {
			next, err := dbos.RunAsStep(ctx, func(context.Context) (int, error) { return m.step(l, i, n) }, dbos.WithStepName(name))
			if err == nil {
				n = next
				continue
			}
			for i--; i >= 0; i-- {
				var undo error
				n, undo = dbos.RunAsStep(ctx, func(context.Context) (int, error) {
					m.undo()
					return n - 1, nil
				}, dbos.WithStepName("undo "+stepNames[i]))
				err = errors.Join(err, undo)
			}
			return n, err
		}
		return n, nil
	}
}

// dbosNormal is DBOS on SQLite as it comes, which does not sync what is committed.
func dbosNormal(l load, m *made) engine {
	return dbosOn(l, m, func(file string) (dbos.Config, func()) {
		return dbos.Config{DatabaseURL: "sqlite:" + file}, func() {}
	})
}

// dbosFull is DBOS on a database of our own, which is as its own but for synchronous.
func dbosFull(l load, m *made) engine {
	return dbosOn(l, m, func(file string) (dbos.Config, func()) {
		db := got(sql.Open("sqlite", "file:"+file+"?_txlock=immediate&_pragma=busy_timeout(5000)&_pragma=foreign_keys(ON)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)"))
		db.SetMaxOpenConns(8)
		db.SetMaxIdleConns(4)
		var full int
		must(db.QueryRowContext(background, "PRAGMA synchronous").Scan(&full))
		must(want(full == 2, "synchronous is %d", full))
		return dbos.Config{SQLiteSystemDB: db}, func() { must(db.Close()) }
	})
}

func dbosOn(l load, m *made, on func(file string) (cfg dbos.Config, closeDB func())) engine {
	dir, remove := directory()
	cfg, closeDB := on(filepath.Join(dir, "dbos.sqlite"))
	cfg.AppName, cfg.ApplicationVersion, cfg.Logger = "sagabench", "1", quiet
	ctx := got(dbos.NewContext(background, cfg))
	workflow := dbosWorkflow(l, m)
	dbos.RegisterWorkflow(ctx, workflow, dbos.WithWorkflowName(sagaName))
	must(dbos.Launch(ctx))
	return engine{
		run: func(id string) (int, error) {
			h, err := dbos.RunWorkflow(ctx, workflow, 0, dbos.WithWorkflowID(id))
			if err != nil {
				return 0, err
			}
			return h.GetResult()
		},
		saw: func(sagas int) error {
			status := dbos.WorkflowStatusSuccess
			if l.rejected {
				status = dbos.WorkflowStatusError
			}
			all, err := dbos.ListWorkflows(ctx, dbos.WithFilterStatus(status), dbos.WithFilterLoadInput(false), dbos.WithFilterLoadOutput(false))
			if err != nil {
				return fmt.Errorf("list: %w", err)
			}
			return want(len(all) == sagas, "there are %d workflows, not %d", len(all), sagas)
		},
		close: func() {
			must(dbos.Shutdown(ctx, closing))
			closeDB()
			remove()
		},
	}
}
