package breakerbench

import (
	"fmt"
	"runtime"
	"time"

	eapache "github.com/eapache/go-resiliency/breaker"
	"github.com/failsafe-go/failsafe-go/circuitbreaker"
	"github.com/sony/gobreaker/v2"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// Subject is what package breaker is measured at, and the bars.
func Subject() bench.Subject {
	return bench.Subject{
		Name:     "breaker",
		Settings: settings,
		Groups:   []bench.Group{streaks(), counts(), times(), rejections(), parallels(), keys(), reads(), transports(), floors()},
		Memory:   memoryRows,
	}
}

var settings = []bench.Setting{
	{
		Library: "mainstay",
		Text: "the zero Config (5 failures in a row), or FailureRate(0.5, 20, window). " +
			"Its calls look at a context, and fn gets it.",
	},
	{
		Library: "gobreaker", Module: "github.com/sony/gobreaker/v2",
		Text: "the zero Settings (more than 5 failures in a row, totals never cleared), or Interval 10 s in buckets of 1 s " +
			"with a ReadyToTrip in the form of its example: half of at least 20. It has no count window, no slow calls and no context.",
	},
	{
		Library: "failsafe", Module: "github.com/failsafe-go/failsafe-go",
		Text: "WithFailureThreshold(5), WithFailureThresholdRatio(50, 100) or WithFailureRateThreshold(0.5, 20, 10 s), which has 10 buckets. " +
			"The executor is made once, which is cheaper than the failsafe.Run of its guide; permit + record is its standalone use.",
	},
	{
		Library: "eapache", Module: "github.com/eapache/go-resiliency",
		Text: "New(5, 3, open time). It has no window, no limit of probes and no context. " +
			"A success does not end a row of failures, so the row with failures is not for it.",
	},
	{
		Library: "go-zero", Module: "github.com/zeromicro/go-zero",
		Text: "NewBreaker, which has no settings: a ratio over 10 s in 40 buckets. " +
			"It rejects by chance, a share of the calls and never all, so it is left out of the rows with rejections and failures.",
	},
	{
		Library: "all",
		Text: "open for an hour, so that none turns half-open while it is measured; observers, hooks and logs off. " +
			"Functions are top-level ones that do nothing.",
	},
}

const (
	whyEapacheRun    = "It keeps one state word, looks at no context, and when closed counts nothing but errors."
	whyEapacheReject = "It never looks at the time while open: a goroutine per opening waits for it. We read the clock once per rejection, and own no goroutine."
	whyRejected      = "All read the clock once, and that is most of it. Ours counts the rejection too and tells its cause and the time left."
	whyEapacheState  = "It loads the state; a goroutine changes that when the time has come. We compare with the clock unless closed."
)

func streaks() bench.Group {
	return bench.Group{Name: "Closed, failures in a row", Rows: []bench.Row{
		{
			Name: "Do, success",
			Note: "One goroutine, context.Background().",
			Ours: oursDo(streak),
			Others: []bench.Other{
				{Case: gobreakerExecute(gobreakerStreak()), AtMost: 0.12},
				{Case: eapacheRun(), AtMost: 1.6, Why: whyEapacheRun},
				{Case: failsafeGet(failsafeStreak)},
			},
		},
		{
			Name: "Run, success",
			Note: "As before, for functions without a result.",
			Ours: oursRun(streak),
			Others: []bench.Other{
				{Case: eapacheRun(), Why: whyEapacheRun},
			},
		},
		{
			Name: "Do, success, cancellable ctx",
			Note: "gobreaker sees no context at all.",
			Ours: oursDoCancellable(streak),
			Others: []bench.Other{
				{Case: gobreakerExecute(gobreakerStreak()), AtMost: 0.14},
				{Case: failsafeCancellable(failsafeStreak)},
			},
		},
		{
			Name: "Do, failures below the limit",
			Note: "Four of five calls fail, again and again.",
			Ours: oursDoMixed(streak, fourOfFiveFail),
			Others: []bench.Other{
				{Case: gobreakerMixed(gobreakerStreak(), fourOfFiveFail), AtMost: 0.2},
				{Case: failsafeMixed(failsafeStreak, fourOfFiveFail)},
			},
		},
		{
			Name: "Allow + Done, success",
			Ours: oursPermit(streak),
			Others: []bench.Other{
				{Case: gobreakerTwoStep(gobreakerStreak()), AtMost: 0.12},
				{Case: failsafePermit(failsafeStreak)},
			},
		},
	}}
}

func counts() bench.Group {
	return bench.Group{Name: "Closed, rate over the last 100", Rows: []bench.Row{
		{
			Name:   "Do, LastN(100), no failures",
			Ours:   oursDo(countWindow),
			Others: []bench.Other{{Case: failsafeGet(failsafeCount), AtMost: 0.05}},
		},
		{
			Name:   "Do, LastN(100), 1 % failures",
			Ours:   oursDoMixed(countWindow, oneOf100Fails),
			Others: []bench.Other{{Case: failsafeMixed(failsafeCount, oneOf100Fails), AtMost: 0.06}},
		},
		{
			Name:   "Allow + Done, LastN(100)",
			Ours:   oursPermit(countWindow),
			Others: []bench.Other{{Case: failsafePermit(failsafeCount), AtMost: 0.75}},
		},
	}}
}

func times() bench.Group {
	return bench.Group{Name: "Closed, rate over 10 s, and slow calls", Rows: []bench.Row{
		{
			Name: "Do, Within(10s)",
			Note: "10 buckets of 1 s.",
			Ours: oursDo(timeWindow),
			Others: []bench.Other{
				{Case: gobreakerExecute(gobreakerRolling()), AtMost: 0.4},
				{Case: failsafeGet(failsafeTime)},
			},
		},
		{
			Name: "Allow + Done, Within(10s)",
			Ours: oursPermit(timeWindow),
			Others: []bench.Other{
				{Case: failsafePermit(failsafeTime), AtMost: 0.85},
				{Case: gobreakerTwoStep(gobreakerRolling())},
			},
		},
		{
			Name:   "Run, Within(10s)",
			Note:   "go-zero adds up its 40 buckets for every call.",
			Ours:   oursRun(timeWindow),
			Others: []bench.Other{{Case: gozeroDo()}},
		},
		{
			Name:   "Do, SlowRate over LastN(100)",
			Note:   "Two clock readings a call. No rival knows slow calls; the nearest is a rolling window, which reads the clock twice too.",
			Ours:   oursDo(slowWindow),
			Others: []bench.Other{{Case: gobreakerExecute(gobreakerRolling()), AtMost: 0.6}},
		},
	}}
}

func rejections() bench.Group {
	return bench.Group{Name: "Open", Rows: []bench.Row{
		{
			Name: "Do, rejected",
			Note: "go-zero rejects by chance and is left out. Three fifths of our time are the one reading of the clock, a sixth the counting of the rejection (go test -bench Rejection -cpuprofile, in breaker).",
			Ours: oursDoRejected(),
			Others: []bench.Other{
				{Case: gobreakerRejected(), AtMost: 0.75},
				{Case: failsafeRejected(), AtMost: 0.1},
				{Case: eapacheRejected(), Why: whyEapacheReject},
			},
		},
		{
			Name: "Allow, rejected",
			Ours: oursPermitRejected(),
			Others: []bench.Other{
				{Case: gobreakerTwoStepRejected(), Why: whyRejected},
				{Case: failsafePermitRejected(), Why: whyRejected},
			},
		},
	}}
}

func parallels() bench.Group {
	g := bench.Group{Name: "Several goroutines, one breaker"}
	for _, n := range []int{1, 2, 8} {
		atMost := 0.08
		if n == 1 {
			atMost = 0 // that is the serial row, with its own bar
		}
		g.Rows = append(g.Rows, bench.Row{
			Name: fmt.Sprintf("Do, success, goroutines: %d", n),
			Note: "Time per call is the time of all divided by the calls of all.",
			Ours: parallel(n, oursDo(streak)),
			Others: []bench.Other{
				{Case: parallel(n, gobreakerExecute(gobreakerStreak())), AtMost: atMost},
				{Case: parallel(n, eapacheRun()), Why: whyEapacheRun},
				{Case: parallel(n, failsafeGet(failsafeStreak))},
			},
		})
	}
	for _, procs := range []int{2, 8} {
		if procs > runtime.NumCPU() {
			break
		}
		g.Rows = append(g.Rows, bench.Row{
			Name: fmt.Sprintf("Do, success, 8 goroutines, GOMAXPROCS %d", procs),
			Note: "Time per call must not rise with the processors; the bar leaves 10 % for noise. Of a call that shares nothing it falls.",
			Ours: withProcs(procs, fmt.Sprintf("mainstay Do, GOMAXPROCS %d", procs), oursDo(streak)),
			Others: []bench.Other{
				{Case: withProcs(1, "mainstay Do, GOMAXPROCS 1", oursDo(streak)), AtMost: 1.1, Floor: true},
				{Case: withProcs(procs, fmt.Sprintf("gobreaker Execute, GOMAXPROCS %d", procs), gobreakerExecute(gobreakerStreak()))},
				{Case: withProcs(1, "gobreaker Execute, GOMAXPROCS 1", gobreakerExecute(gobreakerStreak()))},
			},
		})
	}
	g.Rows = append(g.Rows,
		bench.Row{
			Name: "Do, Within(10s), goroutines: 8",
			Ours: parallel(8, oursDo(timeWindow)),
			Others: []bench.Other{
				{Case: parallel(8, gobreakerExecute(gobreakerRolling()))},
				{Case: parallel(8, failsafeGet(failsafeTime))},
			},
		},
		bench.Row{
			Name: "Do, rejected, goroutines: 8",
			Ours: parallel(8, oursDoRejected()),
			Others: []bench.Other{
				{Case: parallel(8, gobreakerRejected())},
				{Case: parallel(8, failsafeRejected())},
				{Case: parallel(8, eapacheRejected()), Why: whyEapacheReject},
			},
		},
	)
	return g
}

func keys() bench.Group {
	const many, few = 10_000, 100
	forget := func() { gozeroForget(many) }
	return bench.Group{Name: "One breaker per key", After: forget, Rows: []bench.Row{
		{
			Name: "Get + Do, 10,000 keys",
			Note: "String keys in an order without a pattern; all are there. go-zero has no cheaper breaker than its window of 10 s.",
			Ours: oursKeyed(many),
			Others: []bench.Other{
				{Case: gobreakerKeyed(many)},
				{Case: gobreakerKeyedSync(many)},
				{Case: gozeroKeyed(many)},
			},
		},
		{
			Name: "Get + Do, 10,000 keys, goroutines: 8",
			Ours: parallel(8, oursKeyed(many)),
			Others: []bench.Other{
				{Case: parallel(8, gobreakerKeyed(many))},
				{Case: parallel(8, gobreakerKeyedSync(many))},
				{Case: parallel(8, gozeroKeyed(many))},
			},
		},
		{
			Name:  "Group.Get, hit",
			Note:  "100 keys.",
			Ours:  oursGet(few),
			Limit: 30 * time.Nanosecond,
			Others: []bench.Other{
				{Case: gobreakerGet(few)},
				{Case: floorMap(few), Floor: true},
			},
		},
	}}
}

func reads() bench.Group {
	return bench.Group{Name: "Reads", Rows: []bench.Row{
		{
			Name:  "State, closed",
			Ours:  oursState(streak, breaker.Closed),
			Limit: 3 * time.Nanosecond,
			Others: []bench.Other{
				{Case: gobreakerState(func() (*gobreakerCB, func(int) error) { return gobreakerNew(gobreakerStreak()) }, gobreaker.StateClosed)},
				{Case: failsafeState(failsafeStreak.build, circuitbreaker.ClosedState)},
				{Case: eapacheState(newEapache, eapache.Closed), Why: "One load, as ours; ours finds the state behind a pointer."},
				{Case: floorAtomic(), Floor: true},
			},
		},
		{
			Name: "State, open",
			Ours: oursState(openUncounted, breaker.Open),
			Others: []bench.Other{
				{Case: gobreakerState(gobreakerOpen, gobreaker.StateOpen)},
				{Case: failsafeState(failsafeOpen, circuitbreaker.OpenState), Why: "It does not say half-open before a call has come, so it need not look at the time."},
				{Case: eapacheState(eapacheOpen, eapache.Open), Why: whyEapacheState},
			},
		},
		{
			Name:  "Snapshot, LastN(100)",
			Note:  "Ours has the window's counts, rates, times and totals; the rivals are asked for state and two counts.",
			Ours:  oursSnapshot(),
			Limit: 300 * time.Nanosecond,
			Others: []bench.Other{
				{Case: gobreakerStateCounts(), Why: "It returns six counters and a state, without times and totals."},
				{Case: failsafeMetrics(), Why: "It was asked for three numbers only."},
				{Case: floorNow(), Floor: true},
			},
		},
	}}
}

func floors() bench.Group {
	return bench.Group{Name: "Floors", Rows: []bench.Row{{
		Name: "Do, success, beside what it is made of",
		Ours: oursDo(streak),
		Others: []bench.Other{
			{Case: floorCall(), Floor: true},
			{Case: floorAtomic(), Floor: true},
			{Case: floorMutex(), Floor: true},
			{Case: floorNow(), Floor: true},
			{Case: floorSince(), Floor: true},
		},
	}}}
}
