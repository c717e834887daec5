package sagabench

import (
	"fmt"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Subject is what package saga and those below it are measured at, and the bars.
func Subject() bench.Subject {
	return bench.Subject{
		Name:     "saga",
		Settings: settings,
		Groups:   groups(1024),
		Memory:   memoryRows,
		Tables:   []bench.Table{recovery(100_000, 1_000_000)},
	}
}

// groups has so many sagas in flight where there are most of them.
func groups(most int) []bench.Group {
	return []bench.Group{runs(), engines(), files(), crowds(most)}
}

var settings = []bench.Setting{
	{
		Library: "mainstay",
		Text: "in memory Run, without hooks. Durable: the zero Config of engine and store, with MaxRunning where more than 64 are in flight; a saga is Start and Wait. " +
			"filestore syncs what it acknowledges: a saga of 5 steps is 6 writes, each synced, and those of several sagas share a sync.",
	},
	{
		Library: "DBOS", Module: "github.com/dbos-inc/dbos-transact-golang",
		Text: "a workflow of steps, by RunWorkflow and GetResult, on SQLite. NORMAL is what comes with DatabaseURL: synchronous = NORMAL in WAL mode, which syncs at checkpoints and not when something is committed. " +
			"FULL is a SQLiteSystemDB with the same pragmas and pool and synchronous = FULL, which syncs every commit. Its documentation recommends Postgres for production, which is a server. " +
			"Steps are not tried again by default. ApplicationVersion is set, so that it does not hash the program.",
	},
	{
		Library: "go-workflows", Module: "github.com/cschleiden/go-workflows",
		Text: "a workflow of activities, by CreateWorkflowInstance and GetWorkflowResult, on its SQLite backend, which is in WAL mode and leaves synchronous at FULL. It is in the monoprocess backend, as in its own benchmark, so that workers need not poll. " +
			"Default options of the worker, with a cache of executors that has room for all that are in flight. It is left out where 1024 are, which takes it a quarter of a minute each time.",
	},
	{
		Library: "Temporal", Module: "go.temporal.io/sdk",
		Text: "testsuite.WorkflowTestSuite, which executes a workflow in the process of a test and keeps nothing. Durable it is with a server only, and that is not measured here.",
	},
	{
		Library: "left out",
		Text:    "itimofeev/go-saga, lysu/go-saga: the proxy for Go modules does not serve them. dtm, Restate, Temporal and Conductor are servers.",
	},
	{
		Library: "all",
		Text: "steps count and do nothing else; that each was made, and undone, as often as it had to be is looked at. Files are in the directory for temporary ones (TMPDIR), which has to be on a disk. " +
			"What is told is the time that passed divided by the sagas that ended. Logs are off. To go back is to make a step, or activity, of its own for each one that is undone.",
	},
}

const whyNormal = "It does not sync what it commits: a failure of power may take back that a step was made, which has had its effect."

// runs are those in memory.
func runs() bench.Group {
	g := bench.Group{Name: "In memory"}
	for _, row := range []struct {
		steps    int
		rejected bool
		atMost   float64
		allocs   int
		limit    time.Duration
	}{
		{3, false, 3, 2, 150 * time.Nanosecond},
		{5, false, 3, 2, 0},
		{3, true, 4, 5, 400 * time.Nanosecond},
		{5, true, 4, 5, 0},
	} {
		name := fmt.Sprintf("Saga of %d steps, ", row.steps)
		if row.rejected {
			name += "the last is rejected"
		} else {
			name += "all succeed"
		}
		g.Rows = append(g.Rows, bench.Row{
			Name:   name,
			Ours:   oursInMemory(row.steps, row.rejected),
			Limit:  row.limit,
			Allocs: row.allocs,
			Others: []bench.Other{{Case: byHand(row.steps, row.rejected), AtMost: row.atMost, Floor: true}},
		})
	}
	return g
}

// What may be allocated for one attempt.
const (
	allocsOnFiles  = 12
	allocsInMemory = 8
)

func engines() bench.Group {
	l := load{inFlight: 16}
	return bench.Group{Name: "Durable engines in memory", Rows: []bench.Row{{
		Name:   "Saga in a MemoryStore, in flight: 16",
		Note:   "5 steps. Of Temporal there is a test environment that needs no server; one is made for each saga.",
		Ours:   durably("mainstay, MemoryStore", l, 256, oursInStore),
		Allocs: allocsInMemory * durableSteps,
		Others: []bench.Other{{Case: durably("Temporal, test environment", l, 64, temporalTest), AtMost: 0.1}},
	}}}
}

// onFiles is a row of engines that keep their runs in files. Of each a batch is
// about as many sagas as keep it busy for a while.
func onFiles(name string, l load, others ...bench.Other) bench.Row {
	batch := l.inFlight
	if batch > 1 {
		batch = max(256, 4*l.inFlight)
	}
	return bench.Row{
		Name:   name,
		Ours:   durably("mainstay, filestore", l, batch, oursOnFiles),
		Others: others,
	}
}

func files() bench.Group {
	one, few, many, no := load{inFlight: 1}, load{inFlight: 16}, load{inFlight: 64}, load{inFlight: 16, rejected: true}
	normal := func(l load) bench.Case { return durably("DBOS, NORMAL", l, 2*l.inFlight, dbosNormal) }
	full := func(l load) bench.Case { return durably("DBOS, FULL", l, 2*l.inFlight, dbosFull) }
	workflows := func(l load) bench.Case { return durably("go-workflows, FULL", l, l.inFlight, goWorkflows) }
	rows := []bench.Row{
		onFiles("Saga on files, in flight: 1", one,
			bench.Other{Case: normal(one), AtMost: 1, Why: whyNormal},
			bench.Other{Case: full(one), AtMost: 0.5},
			bench.Other{Case: workflows(one)},
			bench.Other{Case: syncedWrites(), Floor: true},
		),
		onFiles("Saga on files, in flight: 16", few,
			bench.Other{Case: normal(few)},
			bench.Other{Case: full(few)},
			bench.Other{Case: workflows(few)},
		),
		onFiles("Saga on files, in flight: 64", many,
			bench.Other{Case: normal(many), AtMost: 0.05},
			bench.Other{Case: full(many)},
			bench.Other{Case: workflows(many), AtMost: 0.01},
		),
		onFiles("Saga on files, the last step is rejected, in flight: 16", no,
			bench.Other{Case: normal(no), AtMost: 0.1},
			bench.Other{Case: full(no)},
			bench.Other{Case: workflows(no)},
		),
	}
	for i := range rows {
		rows[i].Allocs = allocsOnFiles * durableSteps
	}
	rows[3].Allocs = allocsOnFiles * (2*durableSteps - 1)
	return bench.Group{Name: "Durable engines on files", Rows: rows}
}

func crowds(most int) bench.Group {
	l := load{inFlight: most}
	row := onFiles(fmt.Sprintf("Saga on files, in flight: %d", most), l,
		bench.Other{Case: durably("DBOS, NORMAL", l, l.inFlight, dbosNormal)},
	)
	row.Allocs = allocsOnFiles * durableSteps
	return bench.Group{Name: "Very many on files", Rows: []bench.Row{row}}
}
