package eventbus

import "time"

// SubscriptionStats are the numbers of one subscription. At rest, and always
// once it is done,
//
//	covered = Handled + Failed + Filtered + Lagged + Discarded + Depth + Running
//
// exactly, where covered is the number of events that were published while it
// was subscribed and those that From asked for. While a worker runs, Handled and
// Failed may trail by the events it took at once.
type SubscriptionStats struct {
	Name     string
	Topic    string // the pattern, for a pattern subscription
	OnFull   Overflow
	Capacity int // negative: no limit; 0: no queue, because the topic is Sync

	Depth   int // accepted, not started
	Running int // being handled, waits between attempts included

	Handled   uint64 // the handler returned nil, or a reader of the Queue came back or was at it at the end
	Failed    uint64 // given up
	Filtered  uint64 // refused by Filter
	Lagged    uint64 // lost to the overflow policy, or no longer retained
	Discarded uint64 // accepted but never started, because the subscription ended
	Retried   uint64 // attempts beyond the first
}

// TopicStats are the numbers of one topic.
type TopicStats struct {
	Name string
	Type string // CloudEvents type

	Seq           int64               // of the last event
	Retained      int                 // events held as history
	Unrouted      uint64              // events that nobody subscribed to and history did not keep
	HookPanics    uint64              // panics and Goexits of hooks
	Waiting       int                 // publishers that wait for room now
	Waited        time.Duration       // that publishers have waited for room in all
	Subscriptions []SubscriptionStats // in order of age, those of patterns included
}
