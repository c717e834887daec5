// Package sagatest finds bugs in sagas, and in stores for them: an explorer that has a
// saga fail and crash everywhere, within go test; a check of journals; and the
// conformance suite for those who write stores for durable runs.
//
// # Quick start
//
//	func TestTransfer(t *testing.T) {
//		var a *account // a fake, which the steps of the saga book on
//		sagatest.Explore(t, sagatest.Explorer[int]{
//			Setup: func() (*saga.Saga[int], int) {
//				a = &account{balance: 100}
//				return transfer(a), 30
//			},
//			Check: func(end saga.Status, _ int) error {
//				if want := map[saga.Status]int{saga.Completed: 70, saga.Compensated: 100}[end]; a.balance != want {
//					return fmt.Errorf("the balance is %d, want %d", a.balance, want)
//				}
//				return nil
//			},
//		})
//	}
//
// # Model
//
// If a step takes twice what it is asked for twice, or Undo gives back what was never
// taken, the test fails and says when:
//
//	sagatest: of a run that is completed, Check says: the balance is 40, want 70
//	schedule 6; to replay it: Only: "do take 1: lost after"
//
// [Explore] runs a saga by an engine on a store in memory. In an undisturbed run it sees
// where something else could happen: at each attempt, and at each write. Each of these
// turns makes another schedule, in which there may be more of them, and so on. When the
// process dies a new engine goes on with what was written. The fakes are the world
// outside: they live as long as the schedule, and Check looks at them in the end.
//
// [CheckLaw] checks one journal, also one of production. A [Recorder] notes what runs
// do, to be compared.
//
// The test of a store is one call:
//
//	func TestMyStore(t *testing.T) {
//		sagatest.TestStore(t, sagatest.Harness{
//			Open: func(dir string) (durable.Store, error) { return mystore.Open(dir) },
//		})
//	}
//
// [TestStore] gets at a store through a [Harness]: it opens a directory, lets time
// pass, closes what it has opened, and opens the same directory again. A
// [FaultStore] stands between an engine and its store.
//
// # Guarantees
//
//   - K1: [TestStore] passes durable.MemoryStore, and fails a store that breaks a rule
//     of durable.Store or durable.Watcher: runs that are created twice, changed at a
//     Rev that is past or to come, seen by halves, mixed up or lost; Revs and Epochs
//     that are not counted; events that are changed, missing or in another order;
//     memory that is shared with the caller; contexts that are not heeded; leases
//     that end early, late or never, or that others can take; runs given to two at
//     once, too early, in another order or to those who did not ask for them; a next
//     that is too late, or of no use; pages that lack a run or have it twice; filters
//     that find too much or too little; runs deleted that have not ended, or not
//     deleted; work that those who watch are not told of; and, unless the store is
//     Volatile, anything that is not there when it is opened again, also after a
//     process was killed.
//   - K2: A [FaultStore] fails a call as Before and After say: unwritten, or written
//     all the same. It counts the calls of each method from 1, and changes nothing
//     else.
//   - K3: [Explore] has every attempt of an action be rejected, fail before its effect,
//     and fail after it; every attempt of a compensation fail before and after its
//     effect; and the process die before and after everything that is written, also
//     in a run that goes back, and in one that was taken over. An action fails three
//     times at most in one schedule, a compensation twice, the process dies
//     Explorer.Crashes times.
//   - K4: The test fails if the journal breaks the law, if two things have one key or
//     one has two, if a run does not end, is not stuck and waits for no signal, or if
//     Check returns an error.
//   - K5: Schedules with fewer turns come first, so that one that fails has as few as
//     possible. None comes twice. If there are no more than MaxSchedules all are
//     tried. Otherwise so are all with as many turns as there is room for, and of
//     those with one more a sample, which is that of Seed.
//   - K6: The line that a failed test prints replays the schedule as Only, as long as
//     the saga makes the same attempts.
//   - K7: A [Recorder] has one line for every attempt that has ended, in the order in
//     which they have.
//   - K8: [CheckLaw] passes histories that guarantee G4 of package saga allows, and
//     names the event, or the step, of those that it does not.
//
// # Time
//
// A schedule has a testing/synctest bubble of its own, which begins at the same instant
// each time, and waits have no jitter. So Explore cannot be called in a bubble, and
// what Setup returns must not use what was made outside of it.
//
// [TestStore] lets time pass by Harness.Advance, and reads the clock of the store from
// the leases that it gives. Nothing else sleeps or polls. It has subtests, so it
// cannot run in a synctest bubble.
//
// # Errors
//
// A [FaultStore] returns what Before and After return, as it is. CheckLaw returns what
// is wrong. Nothing else fails.
//
// # Testing
//
// A saga, or a store, that is wrong on purpose is the way to see that a test finds
// something; the tests of this package have one for every rule.
//
// # Limits
//
// Explore crashes between writes and around attempts, not within them: what a step does
// is one effect for it. Children of Parallel run in an order that is by chance, so
// that a line may not replay what depends on it. A saga that waits for a signal is
// looked at as it waits. CheckLaw knows steps by their present names alone, and cannot
// tell a compensation that was held back rightly from one that was not.
//
// # Cost
//
// A schedule takes about half a millisecond (BenchmarkExplore). Without waits and with
// one crash a saga of one step has about 1,000 schedules, one of two steps 40,000. The
// 100,000 that are tried by default are all with up to five turns for three steps, and
// with up to four for five: a minute. Set MaxSchedules to what your tests have time
// for.
//
// The suite of stores writes about 2,700 times, 3,500 times if the store is not
// Volatile. With a nil Advance it lets five seconds pass.
package sagatest
