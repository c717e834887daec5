// Package durable executes sagas so that they survive the process: every step is
// recorded before it begins, and another process goes on where one has ended.
//
// # Quick start
//
//	engine, err := durable.Open(store, durable.Config{}) // a MemoryStore, or saga/filestore
//	if err != nil {
//		return err
//	}
//	if err := durable.Register(engine, checkout); err != nil { // runs that were left go on
//		return err
//	}
//	run, err := durable.Start(ctx, engine, checkout, "order-42", order) // once, however often it is called
//	if err != nil {
//		return err
//	}
//	end, err := run.Wait(ctx)
//
// # Model
//
// A run is one execution of a saga under an ID. Its journal says what has happened,
// its [Head] how it is; a [Store] keeps both. An [Engine] claims runs that are due,
// each with a lease that it renews, and executes them: to the end, to where they are
// stuck, or to where they wait. A run that waits, for an instant or a signal, is
// nothing but an entry in the store.
//
// An attempt that was under way when the process ended may have had its effect. It
// taints its step like a lost answer: Probe is asked, or it is made again with the
// same key. So a saga has to be made of steps that accept repetition; see package
// saga for the rest.
//
// A run that is stuck waits for an operator: [Engine.Resume], [Engine.Skip],
// [Engine.Abort], [Engine.Abandon].
//
// # Guarantees
//
// G1 to G30, G45 about hooks and G52 about misuse are those of package saga, and hold here
// too, but for what they say of Run. G50 and G51 are those of filestore.
//
//   - G31: Start returns when the run is durable. The same ID, saga and encoded state:
//     the run there is, whatever has become of it; the ID with anything else:
//     ErrConflict. Of any number of concurrent calls one creates it. It holds as long
//     as the run is kept; runs that are stuck are never deleted.
//   - G32: What follows depends on what is durable: the creation before Start returns,
//     the start of an attempt before it is made, its result before anything that rests
//     on it, the decision to go back before the first Undo, the end of one Undo before
//     the next, the end before Wait returns. A run of N steps that starts at once
//     writes N+1 times.
//   - G33: After a crash the step under way counts as tainted: Probe, else it is made
//     again with the same key, or undone if the run has to go back.
//   - G34: After a crash in compensation the Undo under way is made again, and no
//     action ever. However often and wherever the process ends, every run that waits
//     for no signal comes to an end or is stuck.
//   - G35: A step during which the process has ended MaxCrashes times in a row makes
//     its run stuck (ReasonCrashLoop). Resume counts from zero.
//   - G36: There is one owner at a time. A lease that was not renewed in time ends the
//     attempts with cause ErrFenced, and what they come to is not recorded.
//   - G37: Signals and operators add to a run that somebody else executes. The owner
//     notices at its next write or renewal, within one engine at once.
//   - G38: One bad run delays no other. A journal that makes no sense is told to
//     Hooks.Fault, and its run is stuck (ReasonJournalUnreadable); one that cannot be read
//     is tried again later.
//   - G39: Operators need a [Note], which is recorded. Resume: of a run that is stuck,
//     or waits for another attempt. Skip: stuck at that step, which counts as undone,
//     or as applied. Abort: any run whose pivot is not applied, nor tried just then;
//     of one that is stuck at its pivot it says that this had no effect. Abandon:
//     stuck. Otherwise ErrConflict.
//   - G40: Steps are found by name. A recorded name that Steps, Was and Retired do not
//     know, another kind or order, and a pivot that has moved make that run stuck
//     (ReasonDefinitionChanged). A step inserted ahead of where a run stands is run, behind
//     it is not. Resume goes on when the definition is mended.
//   - G41: Wait returns when the run has ended or is stuck, wherever it is executed.
//   - G42: Close stops claiming and starting, waits for attempts under way and records
//     them. When its context ends it cancels them with ErrClosed and returns an error
//     that is the cause and names them; nothing is undone because of it.
//   - G43: Start never waits for room: beyond MaxRunning runs wait in the store. A run
//     that waits has no goroutine and no timer.
//   - G44: After 64 recorded failures of an action or a compensation further ones only
//     change the head, unless there is something new: a taint, another state, an end.
//     That is not so for children of a group, of which a head can tell only one. A
//     state that cannot be encoded, or is larger than MaxState, makes its step
//     unknown and failed, an Undo undone with the old state. Register refuses a saga
//     whose zero state its Codec cannot encode and decode.
//   - G46: Create and Append are all or nothing, durable when they return nil, and
//     count Rev and Epoch, as told at [Store].
//   - G47: Claim hands a run to one caller alone.
//   - G48: After an error that leaves open whether something was written the engine
//     reads what is there before it goes on, as long as its lease lasts.
//   - G49: Payloads are any bytes, and nothing that a store returns or is given is
//     shared. Pages of List have every run that does not change exactly once.
//
// # Time
//
// All timing is on [Config].Clock, which replaces system time for tests: a *clock.Mock
// fits, if the store has the same. Contexts of steps have no Deadline then; their cause
// is context.DeadlineExceeded all the same. Inside a testing/synctest bubble leave it
// nil. Only the instants at which runs wake and their deadlines cross processes, as wall
// time; leases are on the clock of the store.
//
// # Errors
//
// A run that has failed is a *saga.Error. What was recorded by another process, or before
// the run has waited, for a retry too, is a text in it: errors.Is finds only what has come
// since. ErrConflict, ErrNotFound and ErrClosed say why a call could not
// be; ErrFenced and ErrClosed are causes of contexts of steps. An error about a run names
// it.
//
// # Testing
//
// A [MemoryStore] and a testing/synctest bubble are all it takes, or a *clock.Mock for
// both Clocks within one: elsewhere nobody can tell when everything waits. A second engine
// on the same store is a restart. Close in a Cleanup: a bubble whose test fails with an
// engine that is open panics. examples/testing has it all. Package sagatest has more: Explore has a saga fail and crash everywhere,
// a FaultStore fails as a test says, CheckLaw checks a journal, also one of production,
// and TestStore a [Store] of your own.
//
// # Cost
//
// A write for each step, see BenchmarkEngine. How that compares with other engines is in
// examples/benchmarks/RESULTS.md.
package durable
