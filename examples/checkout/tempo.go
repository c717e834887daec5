package main

import "time"

// A tempo is how long everything takes. It follows from how long the script of
// faults lasts, so that a short one shows the same as a long one. But Retry-After has
// whole seconds: below some 10s a storm has callers stay away during what follows it.
type tempo struct{ script time.Duration }

// part is a share of the script, and at least some time: the machine does not get
// faster when the script gets shorter.
func (t tempo) part(share float64, least time.Duration) time.Duration {
	return max(time.Duration(share*float64(t.script)), least)
}

// patience is how long a step of the saga waits, for all that the transport tries.
func (t tempo) patience() time.Duration { return t.part(0.02, 150*time.Millisecond) }

// attempt is how long the transport waits for one instance.
func (t tempo) attempt() time.Duration { return t.patience() / 3 }

// slowness is longer than anybody waits.
func (t tempo) slowness() time.Duration { return 3 * t.patience() / 2 }

// lease is how long an instance is believed to live without a word.
func (t tempo) lease() time.Duration { return t.part(0.05, 300*time.Millisecond) }

// open is how long a breaker that opens for the first time stays open.
func (t tempo) open() time.Duration { return t.part(0.04, 60*time.Millisecond) }

// window is what breakers look at.
func (t tempo) window() time.Duration { return t.part(0.1, 200*time.Millisecond) }

// wait is that before the second attempt of a step.
func (t tempo) wait() time.Duration { return t.part(0.001, 5*time.Millisecond) }

// hold is how long a fault lasts that somebody injects by hand.
func (t tempo) hold() time.Duration { return t.part(0.4, 200*time.Millisecond) }

// down is how long it takes until what has died is started again.
func (t tempo) down() time.Duration { return t.part(0.1, 50*time.Millisecond) }
