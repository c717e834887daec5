// Package modelcheck checks package breaker against models. It holds nothing but
// tests, in a module of its own, so that what they need is required by nobody
// else.
//
// # What is checked
//
//   - TestMachine: a model of the guarantees G1 to G39, which keeps every outcome
//     in a list and works everything out anew, and a breaker do the same random
//     operations one after the other. After each, all that can be seen from
//     outside has to be the same: state, snapshot, events, what the hooks are
//     told, rejections and the time they tell. The clock goes to where something
//     is due, and just not there, backward, and on by centuries. There is a
//     subtest for each family of rules. Rapid replays and shrinks what fails.
//   - TestLinear: concurrent workers operate one breaker, and Porcupine looks for
//     an order in which the same model would have answered the same, event by
//     event, up to the totals at the end. The clock lets other goroutines in
//     whenever it is read, which is where operations can be interrupted. Rates
//     over Within are left out: a race may overestimate them (G19). So are two
//     rules that successes change: each has an order of its own (G18).
//   - TestProbes: never more probes in flight than allowed, and every slot comes
//     back, after panic, Goexit, cancellation, double report and none at all.
//   - TestChaos: whatever callers, operators, hooks and the clock do at once,
//     transitions are told once, in order, one at a time, and the breaker closes
//     again.
//   - TestMutants: seeded faults, each of which one of these tests has to find.
//
// # How much
//
//	go test ./...                      as much as for every change
//	go test -race ./...                less, with the race detector
//	MAINSTAY_DEEP=1 go test -timeout 6h ./...
//
//	                 usual       race    deep
//	operations       1,000,000   40,000  100,000,000
//	histories        50,000      1,000   1,000,000
//	probe rounds     3,000       200     100,000
//	chaos rounds     300         30      20,000
//	seeded faults    all         -       all
//
// The flags -operations and -histories ask for another number, and -seed for the
// plan of one history: workers still interleave by chance, so it takes some
// thousand histories to see a rare one again. Every failure prints what replays
// it. With -v each test tells how much it has checked.
package modelcheck
