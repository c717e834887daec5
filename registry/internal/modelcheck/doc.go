// Package modelcheck checks package registry against a model. It holds nothing
// but tests, in a module of its own, so that what they need is required by nobody
// else.
//
// # What is checked
//
// The model is one service as the guarantees G1 to G4, G8 to G10, G13 to G15, G19
// and G22 have it, as a plain value: an array of IDs, each with its generation,
// content, deadline and healths. It works out anew what lapses at which instant.
//
//   - TestWalk: one goroutine does random verbs and reads, and each has to come
//     to what the model says: errors, generations, endpoints, indices, and what the
//     hooks are told. The clock goes to where something is due, and just not
//     there. A third of the walks is with self-preservation.
//   - TestLinear: concurrent workers do the same to one registry, and Porcupine
//     looks, service by service, for an order in which the model would have
//     answered the same. So a read that begins after a verb has returned shows it,
//     and no lease outlives its fence. Timers ring on goroutines of workers, also
//     those that were stopped. The clock lets other goroutines in whenever it is
//     read, which is where operations can be interrupted; in half of the histories
//     it also moves during renewals and reads.
//   - TestMutants: seeded faults, each of which one of these tests has to find.
//
// What is not checked: drains wait for their grace, but have no calls to wait for.
// That a lease which was held is restored may be shown by reads a moment later (see
// until). KeepAlive, feeds, checks and stalls are left to the tests of the package.
//
// # How much
//
//	go test ./...                      as much as for every change
//	go test -race ./...                less, with the race detector
//	MAINSTAY_DEEP=1 go test -timeout 6h ./...
//
//	                 usual       race    deep
//	walks            3,000       1,000   200,000
//	histories        15,000      5,000   1,000,000
//	seeded faults    a third     -       all
//
// The flags -walks and -histories ask for another number, and -seed for the plan
// of one: workers still interleave by chance, so it takes some thousand histories
// to see a rare one again. Every failure prints what replays it. With -v each
// test tells how much it has checked.
package modelcheck
