// Package sagatest tests what uses package saga, and what it uses: here is the
// conformance suite for those who write stores for durable runs, and a store whose
// calls fail when the test says so.
//
// # Quick start
//
//	func TestMyStore(t *testing.T) {
//		sagatest.TestStore(t, sagatest.Harness{
//			Open: func(dir string) (durable.Store, error) { return mystore.Open(dir) },
//		})
//	}
//
// # Model
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
//
// # Time
//
// [TestStore] lets time pass by Harness.Advance, and reads the clock of the store from
// the leases that it gives. Nothing else sleeps or polls. It has subtests, so it
// cannot run in a synctest bubble.
//
// # Errors
//
// A [FaultStore] returns what Before and After return, as it is. Nothing else fails.
//
// # Testing
//
// A store that is wrong on purpose is the way to see that a suite finds something;
// the tests of this package have one for every rule.
//
// # Cost
//
// The suite writes about 2,700 times, 3,500 times if the store is not Volatile. With a
// nil Advance it lets five seconds pass.
package sagatest
