// Package registrytest tests what uses package registry: a backend in memory that
// several registries of one test share, and the conformance suite for those who
// write backends.
//
// # Quick start
//
//	cluster := registrytest.NewBackend(registrytest.BackendConfig{})
//	here, there := registry.MustNew(registry.Config{}), registry.MustNew(registry.Config{})
//	go func() { _ = here.Sync(ctx, "cluster", cluster, registry.SyncConfig{}) }()
//	go func() { _ = there.Sync(ctx, "cluster", cluster.Machine(), registry.SyncConfig{}) }()
//
//	_, err := here.Register(ctx, orders("a"))
//	for u, err := range there.Service("orders").Watch(ctx) {
//		if err != nil || u.Snapshot.Len() > 0 {
//			break // the other machine knows it
//		}
//	}
//
// # Model
//
// A [Backend] is one machine's connection to an origin in memory. [NewBackend]
// makes an origin and its first machine, [Backend.Machine] another one. Which
// machine put a record matters for Remove, and which one is cut off by
// [Backend.Disconnect] for nobody else. Registries that share a Backend are one
// machine: that does as long as they register different IDs.
//
// # Guarantees
//
//   - K1: All machines see the same records. A run begins with a Reset of them,
//     which may be empty; what changes later comes in the order in which it
//     happened, and adds up while deliver is at work. Records are copied, in and
//     out, and every field comes back as it was put, but for Check and Attrs.
//   - K2: Remove takes out a record that this machine put last, and nothing else.
//   - K3: A record with a TTL vanishes for all when that has passed since the last
//     Put, even if no timer or goroutine has run. Every Put is delivered, so that
//     the TTL counts anew for those who get it.
//   - K4: While a machine is disconnected its calls fail with the given error. The
//     runs under way end with it, also if the cut is over before they notice.
//     Other machines go on, and what this one put stays until its TTL is over.
//   - K5: [TestBackend] passes the backend in memory, and fails one that breaks a
//     rule of registry.Source or registry.Backend: a first batch that is no Reset
//     or lacks something, batches at the same time, after the end or with an ID
//     twice, changes that are lost, late, changed, mixed up or in another order, a
//     Remove that takes out too much or too little, contexts that are not heeded,
//     TTLs that are not kept.
//
// # Time
//
// Nothing of the backend sleeps, polls or runs by itself. It works in a
// testing/synctest bubble, if it is made there, and outside; give it the
// Config.Clock of the registries, if they have one. [TestBackend] has subtests, so
// it cannot run in a bubble; it goes by system time.
//
// # Errors
//
// Calls return the cause of a context that has ended, or what Disconnect was
// given. Nothing else fails.
//
// # Cost
//
// Every change wakes every run, which looks at all records: that is made for
// tests, with hundreds of records and not with a hundred thousand.
package registrytest
