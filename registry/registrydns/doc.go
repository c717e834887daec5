// Package registrydns keeps a service of package registry as DNS has it: the
// addresses of a name, or its SRV records.
//
// # Quick start
//
//	src, err := registrydns.New(registrydns.Config{
//		Service: "orders",
//		Name:    "orders.shop.internal",
//		Port:    8080, // leave it out if the name has SRV records
//	})
//	if err != nil {
//		return err
//	}
//	go reg.Feed(ctx, "dns", src) // until ctx ends
//
// # Model
//
// A [Source] looks one name up again and again. An answer is the complete
// membership of its service. It is delivered when it is the first after the
// start or after an error, when it differs from the one before, and as long as
// the registry refuses some of it.
//
// With a Port every address of the name is an instance, IPv4 and IPv6 alike: a
// host with both is two instances. A [Resolver] of one's own that asks for "ip4"
// prevents that. Without a Port every SRV record is an instance at its target
// and port; the target is resolved by whoever connects to it. A target of "."
// says that the service is not available, so such an answer has no instances.
//
// [net.Resolver] reports the addresses of one family when the server fails on
// the other, so that instances leave although nobody withdrew them. With its
// StrictErrors that is an error, as it should be for names with both.
//
// The TTL of the records is not known here: package net does not tell it. It is
// obeyed by a caching resolver if there is one in between.
//
// # Guarantees
//
//   - G47: The ID and Addr of an instance are "ip:port" or "[v6]:port", those of
//     a SRV record "target:port", in lower case and without the dot at the end.
//     Only the SRV records of the best priority are used, and a weight of 0 is
//     1. Answers are sorted and without duplicates, and what is in both the old
//     and the new one stays untouched. A failed lookup keeps the last answer,
//     and its snapshots are Disconnected; so does a not-found answer, but if the
//     next lookup is one too the service becomes empty, and is connected.
//
// An answer without records is a not-found answer. A lookup that fails in
// another way is none: after it, it takes two again.
//
// # Time
//
// The first lookup is at once, the next follows the answer by
// [Config].Interval, 10 % more or less. After an error it is the registry that
// calls Run again, as Registry.Feed says: after a second, then less and less
// often. A lookup runs on the goroutine of Feed and has Config.Timeout; there is
// no other goroutine.
//
// With a Config.Clock the Timeout cancels the context of the lookup, which has
// then no Deadline: real I/O and the time of a fake clock do not go together.
//
// # Errors
//
// [New] reports all that is wrong with a Config, also with what it says of the
// instances. [Source.Run] returns the error of the Resolver, wrapped; what
// matches context.DeadlineExceeded ran into Config.Timeout. Hooks.FeedState of
// the registry tells it.
//
// # Testing
//
// Config.Resolver may be a fake of two methods, and Config.Clock a fake clock;
// without a Clock a Source works in a testing/synctest bubble. Lookups of a real
// net.Resolver do not go into a bubble.
//
// # Cost
//
// An answer that changes nothing costs what the lookup does and one comparison.
// One that does is delivered whole, with a copy of Config.Instance for every
// record.
package registrydns
