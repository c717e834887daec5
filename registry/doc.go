// Package registry knows, inside a process, which instances of which services
// there are: registered under leases, checked for health, drained before they
// go, and watched without ever missing the state that counts.
//
// Package registry/balance chooses one for every call, registry/registryhttp
// makes an http.Client of that, registry/registrydns fills a registry from DNS,
// and registry/registrytest has what tests of backends need.
//
// # Quick start
//
//	reg := registry.MustNew(registry.Config{})
//	lease, err := reg.Register(ctx, registry.Instance{
//		Service: "orders", Addr: "10.0.0.7:8080", TTL: 10 * time.Second,
//	})
//	if err != nil {
//		return err
//	}
//	go lease.KeepAlive(ctx) // until lease.Drain, at shutdown
//
//	for e := range reg.Service("orders").Snapshot().All() {
//		fmt.Println(e.Addr(), e.Health())
//	}
//
// # Model
//
// A service is a name; it exists while it has an instance. An instance is what
// was registered: one process at one address. An [Endpoint] is its read-only
// record in a [Snapshot], the state of a service at an index; the index grows with
// every change. [Service.Watch] is a sequence of snapshots, each with what is new.
//
// A registration has a generation and a [Lease], the owner's handle. With a TTL
// it has to be renewed, or it expires. A newer registration of the same ID
// supersedes it. [Preserve] keeps instances as Stale when too many leases lapse
// at once.
//
// The [Health] of an instance is the worst that its lease, its [Check], its owner,
// an operator and the feed it came from say. Passing and Warning are usable. To
// drain is to be Draining, wait for the calls under way, and leave.
//
// A feed brings instances from elsewhere ([Source]); a [Backend] also takes those
// of this process to others ([Registry.Sync]).
//
// # Guarantees
//
// Registration and ownership:
//
//   - G1: Registering a known ID with other content replaces it: one change, a
//     higher index. Equal content (all but Check): no change, same index, lease
//     time anew, and the check has new settings. Both return a new lease and end
//     the old one.
//   - G2: IfAbsent with an ID that is present, in any health, is ErrExists, and
//     nothing changes. RegisterWith is all or none and reports every problem of
//     every instance; a reader sees the whole batch of a service or nothing of it.
//   - G3: Every registration has a higher generation than all before. A verb of a
//     lease that is not the current one returns ErrLeaseLost and leaves the
//     present holder alone: a late call of an old process cannot harm its
//     replacement.
//   - G4: Deregister, Drain and SetHealth of an unknown ID return ErrNotFound and
//     change nothing. They act on any instance, whoever owns it; a lease that was
//     ended by hand is lost, and its KeepAlive does not register again.
//   - G5: Instances are copied deeply, in and out. Invalid input is an error that
//     names every refused field with its value, and changes nothing. So is misuse:
//     a nil context, Source, Backend, Reader or Writer, a nil or zero Registry,
//     Lease or Service. Methods without an error result panic with it.
//   - G6: A service whose last instance leaves is listed no more and its memory is
//     released. Watchers get an empty snapshot; handles and watchers go on when
//     it comes back.
//   - G7: Authorize is asked first, on the caller's goroutine, without locks; not
//     for verbs of a lease, nor for feeds. A breached limit refuses before
//     anything changes.
//
// Time:
//
//   - G8: A lease is alive while now < deadline and over at now >= deadline. The
//     deadline is the last Register, Renew or delivery, plus the TTL.
//   - G9: No read returns an instance past its deadline, even if no timer has run.
//     Whoever meets it first, a read, Sweep or a timer, removes it: exactly one
//     change, expired, with the last value. Reads never run hooks themselves.
//   - G10: Renew never changes the index and takes no lock while the lease is
//     alive. Too late it is ErrLeaseLost, but an instance held as Stale is
//     restored. Without a TTL it does nothing.
//   - G11: KeepAlive returns the cause of its context and leaves the lease, nil
//     after the owner's Deregister or Drain, and ErrLeaseLost when superseded or
//     removed by hand. While it runs expiry does not end the lease: it registers
//     again if the ID is still free.
//   - G12: Lease time does not pass while the process stands still: when an expiry
//     is noticed more than StallAfter late, the lateness does not count for any
//     lease. What was due by the missed moment lapses, the rest keep what they had.
//   - G13: When more than MaxEvict of the leased instances of a service lapse
//     within Window, that share expires, earliest deadline first, then by ID; the
//     others become Stale, and so on with every Window. It ends when none is held,
//     at the latest after MaxHold, when all that lapsed go. Other services are not
//     affected.
//
// Visibility:
//
//   - G14: Get, Snapshot and Wait are linearizable for each service: begun after a
//     write has returned, they show it. A pick never returns what was removed,
//     Draining or Down before it began; see package balance.
//   - G15: The index grows with registration, update, effective health, removal and
//     Disconnected, and with nothing else. It is at least 1, not dense, and never
//     goes back, also when a service vanishes and comes again.
//   - G16: Wait returns once the index exceeds after. Other services do not wake
//     it, and it works for services that do not exist. A name without instances
//     and waiters has the index of the latest service that vanished, so that no
//     change is missed.
//   - G17: To enrol in a watch and to take its first snapshot is one step. Each
//     update is the present snapshot and exactly what leads there from the one
//     before of the same loop. While the loop body runs changes add up, and the
//     final state is never missed. Removed and back in between is Changed.
//   - G18: A watcher costs a latch and an old snapshot, however slow it is, has no
//     goroutine (unless its context is none of package context) and delays nobody.
//     Its loop ends with one pair of zero and an error; leaving it frees it at once.
//
// Health and drain:
//
//   - G19: Health is the worst of five sources, each of which takes back only its
//     own word. The owner's lasts as long as the lease, the operator's through
//     registrations until the ID is removed. To say the same again changes nothing.
//   - G20: A check begins with Starting, also after another Addr; the first pass
//     ends that. Then it takes FailuresBeforeCritical failures in a row to be
//     Critical, and SuccessesBeforePassing good runs in a row to recover. Output
//     alone is no change.
//   - G21: Runs of one check never overlap and keep their schedule. One that takes
//     longer than Timeout has failed at that instant, and while it hangs every
//     due run has. To wait for one of MaxChecks is no failure; a panic and Goexit
//     are. Removal and Close cancel its context, which has no Deadline if there is
//     a Clock.
//   - G22: Drain makes the instance Draining at once, and removes it when its
//     tracked calls of this process are over and DrainGrace has passed, or when ctx
//     ends, which is an [*Error] with its cause. A second Drain joins the first.
//
// Hooks, the end, feeds (G23 to G37 are those of package balance, G43 to G46 of
// registryhttp, G47 is that of registrydns):
//
//   - G38: Hooks run outside locks, for each service in order of index, and may
//     call the registry. Their panics are counted, reported and contained.
//   - G39: There is no goroutine before a TTL, a check, a feed or a hook needs one.
//     Close ends all and waits, or returns the cause of its context; it is
//     idempotent and does not drain. Afterwards verbs return ErrClosed, leases have
//     ended with it, and snapshots keep their last state.
//   - G40: A local registration counts before those of feeds, the feed that was
//     started first before later ones; the loser takes over when the winner
//     leaves. When Run fails its instances stay, snapshots are Disconnected, and
//     it is called again after 1s doubling to 30s, plus or minus a fifth. When
//     Feed returns they are removed. A bad record is refused alone.
//   - G41: A Reset is a diff: what is unchanged is no change, what it lacks is
//     removed. Sync puts what is registered here with the health that its owner,
//     its check and an operator give. It sends nothing back that it received, and
//     takes nothing back that it sent. A Put that failed is repeated.
//   - G42: Export writes every instance, without Check and Attrs. Import brings them
//     back below everything else: who registers or feeds an ID takes its place,
//     and Sync does not put them. Bad records are refused alone and named.
//
// # Time
//
// [Config].Clock replaces system time for tests: a *clock.Mock fits, and
// [Registry.Sweep] makes expire what is due without a timer. Contexts of checks
// have no Deadline then; their cause is context.DeadlineExceeded all the same.
// Inside a testing/synctest bubble leave it nil. Stalls (G12) are not corrected
// with a Clock unless Preserve.StallAfter says so.
//
// # Errors
//
// ErrNotFound, ErrExists, ErrLeaseLost and ErrClosed are the decisions a caller
// makes; they come inside an [*Error] that says where. A wait that is cut short
// returns the cause of its context. [*PanicError] is a contained panic of a
// function handed to the registry.
//
// # Testing
//
// In a testing/synctest bubble a registry with a nil Clock needs nothing else. With a
// *clock.Mock have a bubble too: elsewhere nobody can tell when KeepAlive has set its
// timer, and a Mock that is moved past it too early ends a lease that is alive.
// examples/testing has both. Package registrytest has a Backend in memory, which several
// registries of one test can share, and the conformance suite for backends.
//
// # Cost
//
// Snapshot and Get allocate nothing, and take no lock unless something has to expire
// (BenchmarkSnapshot); if an instance of the service has a TTL they read the clock. Renew is one
// compare-and-swap (BenchmarkRenew). A change copies the list of a service up to 512
// instances, and beyond that a page of at most 512 and the table of pages
// (BenchmarkRegister). How that compares with other libraries is in
// examples/benchmarks/RESULTS.md.
package registry
