package registry

import "context"

// A Record is an instance in a feed.
type Record struct {
	Instance Instance // its Check is run here; a TTL of zero is none
	Health   Health   // what the feed says: any but Stale; zero: Passing

	// Owner marks what a registry put, so that it does not take it back. A
	// Backend keeps it with the record and hands it out again.
	Owner string
}

// A Ref names an instance.
type Ref struct{ Service, ID string }

// A Batch is news from a source. What it puts of one service becomes visible at
// once.
type Batch struct {
	// Reset tells that Put is the complete membership: what this feed put before
	// and Put lacks is removed, and what is unchanged stays untouched.
	Reset bool

	Put    []Record
	Remove []Ref // what is not there is no error
}

// A Source knows instances from elsewhere. Implementations follow these rules:
//
//   - Run calls deliver from one goroutine at a time. The first call of a Run
//     has Reset set, unless the source remembers what it delivered before.
//   - deliver takes all that is good in a batch; its error tells which records
//     were refused, and is no reason to end. If the registry or the feed is
//     closed the error is ErrClosed or the cause of ctx.
//   - Run returns an error when it has lost its origin; it is called again
//     later. It returns nil when nothing more will come, and what it delivered
//     stays. It returns soon once ctx has ended.
type Source interface {
	Run(ctx context.Context, deliver func(Batch) error) error
}

// A Backend is a source that also takes what is registered here, so that
// others learn of it. Implementations follow the rules of [Source] and these:
//
//   - Put creates, replaces or renews a record. It is called again every third
//     of the TTL of the record, and again after an error.
//   - Remove takes out only what this process put. What is not there is no
//     error.
//   - Put and Remove may be called while Run runs, and one at a time.
//   - A record whose TTL passes without Put vanishes for all: Run delivers its
//     removal, since who receives it keeps no time for it.
//   - What was put comes back through Run; the registry knows its own. A Put that
//     only renews may be delivered again, or not.
type Backend interface {
	Source
	Put(ctx context.Context, rec Record) error
	Remove(ctx context.Context, ref Ref) error
}

// Static is a source of instances that never change. Those that are bad are refused;
// Hooks.FeedState tells which.
func Static(ins ...Instance) Source {
	s := make(static, len(ins))
	for i, in := range ins {
		s[i] = Record{Instance: in.clone()}
	}
	return s
}

type static []Record

// Run delivers the instances once.
func (s static) Run(_ context.Context, deliver func(Batch) error) error {
	_ = deliver(Batch{Reset: true, Put: s}) // what is refused is reported by the feed
	return nil
}
