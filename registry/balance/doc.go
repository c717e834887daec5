// Package balance chooses, for every call, one endpoint of a service that package
// registry knows: the least loaded, the quickest, in turn, by weight or by key;
// it leaves alone those that fail, are about to leave or have only just come, and
// tries again elsewhere.
//
// # Quick start
//
//	lb := balance.MustNew(reg.Service("prices"), balance.Config{Outlier: &balance.Outlier{}})
//
//	price, err := balance.Do(ctx, lb, func(ctx context.Context, e *registry.Endpoint) (Price, error) {
//		return ask(ctx, e.Addr())
//	})
//
// # Model
//
// A [Balancer] chooses for one service, by a [Policy]. A [Pick] is one tracked use
// of an endpoint, from the choice to [Pick.Done]; in flight are the picks not done.
// [Do] is a call with everything around it.
//
// To eject is to leave an endpoint alone for a while because the calls of this
// balancer to it fail ([Outlier]); nobody else sees it. In panic mode too few
// endpoints are usable, so picks go to all that were not taken out by hand. A
// [Gate] admits calls to one endpoint: a circuit breaker is one.
//
// The way of a pick: Filter, subset, panic mode or zone, policy with slow start,
// gate. What the first four say is worked out when something changes, the rest
// with every pick.
//
// # Guarantees
//
// Picks:
//
//   - G23: A pick with a context that has ended returns its cause. Else it does
//     not block. If there is nothing to pick, or all is excluded, it returns
//     ErrNoInstances and allocates nothing. While candidates are adapted to a
//     change it does not do so as long as there is an instance to pick.
//   - G24: In-flight belongs to the endpoint, for all balancers of a registry;
//     latency and ejections belong to the balancer. All survive every change that
//     keeps ID and Addr. A new Addr or a removal starts from nothing, and Done for
//     an endpoint that has gone is harmless.
//   - G25: The first Done on any copy of a pick counts, also at the same time and
//     after Close. In-flight is never negative. A pick that is never ended stays
//     counted.
//   - G26: nil is a success. An error that IsFailure names is a failure. Of the
//     rest context.Canceled is neither, and leaves no latency; all others are
//     successes. The sample of a failure is at least the estimate of the endpoint
//     and the mean, so that failing fast attracts nobody.
//
// Policies:
//
//   - G27: RoundRobin chooses each of n endpoints once in n picks while none is
//     turned down; the share of one that is goes evenly to the others. Its
//     position survives changes.
//   - G28: Weighted draws in proportion, at the same cost however skewed. Smooth is
//     exact in every sum/gcd picks and runs no longer on one endpoint than
//     the greatest weight over the sum of the others, rounded up, while sum/gcd is
//     at most 16,384. RoundRobin and Random ignore weights.
//   - G29: LeastLoaded and PeakEWMA compare different endpoints. If weights differ
//     they draw by weight, and of equal ones the first drawn wins, so an idle
//     service is used in proportion. Without a sample of both only in-flight
//     counts. Estimates decay when they are read.
//   - G30: ConsistentHash without Bound depends on IDs, weights, usability and key
//     alone. Who is unusable keeps its place and lends its keys. Who leaves moves
//     its own keys, of others none with Rendezvous and at most 1% with Maglev. With
//     Bound the chosen has at most Bound times its share in flight, rounded up.
//
// What picks are restricted to:
//
//   - G31: A subset depends on SubsetKey and IDs, whatever the health; who joins or
//     leaves changes at most one member. Picks stay in the zone while its usable
//     share is at least SpillBelow; below, the fraction share/SpillBelow stays and
//     the rest spreads evenly. A pick for which there is none at home, because all
//     are excluded or refused, goes elsewhere. Without an endpoint at home zones are
//     ignored.
//   - G32: Panic mode is while usable endpoints are less than PanicThreshold of those
//     that are not Starting, Draining or Down. Then all but Draining, Down and
//     negative weight are picked, zones are ignored, and Starting ones are picked
//     only if all are. There is one hook when it begins and one when it ends.
//   - G33: Slow start counts from when an endpoint became usable. The share rises
//     from the floor to the fair share without falling, for every policy, in zones
//     and subsets too; what is left goes evenly to the others. If all are
//     ramping nobody is held back.
//   - G34: The n-th ejection lasts n times Base, up to Max, and is over at that
//     instant; n falls by one with each Interval without. Rules that trip together
//     are one ejection. The cap is MaxEjected of the members, rounded down, and
//     counts those present. Snapshots and other balancers never see it.
//   - G35: A refusal of a gate moves on to another candidate and is no failure; if
//     all refuse, the error is ErrNoInstances and wraps the last refusal. done of a
//     gate runs once, with the error of Done, or nil where G26 says success. A
//     Filter that panics excludes; other panics go on, with nothing left behind. A
//     policy out of range is replaced by a search for that pick.
//
// Calls:
//
//   - G36: Do makes up to Attempts attempts, each with an endpoint not tried in
//     this call. Without such an endpoint, without budget, if Retry.If says no or
//     ctx has ended, the error is that of the last attempt, unchanged. The budget
//     starts with Burst, each call earns Budget up to that, each retry costs 1.
//   - G37: A panic or Goexit in fn is a failure, the pick ends, and it goes on.
//     AttemptTimeout cancels the context of the attempt with cause
//     context.DeadlineExceeded; fn is waited for.
//
// # Time
//
// The clock is that of the registry. Slow start and ejections end when a pick
// looks at the clock, without a timer.
//
// # Errors
//
// ErrNoInstances tells to fall back or to answer 503, registry.ErrClosed to stop;
// both come inside an [*Error]. A context that has ended is its cause. What fn
// returned comes back from Do as it was.
//
// # Testing
//
// [Config].Rand makes every draw repeatable. A registry with a fake Clock and
// instances that nobody listens at is all a test of a policy needs.
//
// # Cost
//
// A pick takes no lock and allocates nothing (BenchmarkPick); with RoundRobin,
// Random, Weighted, two Choices, PeakEWMA and Maglev its cost does not depend on
// the number of endpoints. It is O(n) with other Choices, Rendezvous and Bound, and
// if all gates refuse. A
// change of the service costs one pick O(n), and Maglev the time to fill its
// table. How that compares with other libraries is in
// examples/benchmarks/RESULTS.md.
package balance
