package main

import (
	"hash/fnv"
	"math/rand/v2"
	"strconv"
)

// A fault is what goes wrong with one request.
type fault string

const (
	fine        fault = ""
	unavailable fault = "unavailable" // 503, and nothing is done
	busy        fault = "busy"        // 429 and when to come back; certainly nothing is done
	reset       fault = "reset"       // the connection breaks before anything is done
	cut         fault = "cut"         // it breaks after all is done, instead of an answer
	mute        fault = "mute"        // nothing is done, and no answer comes
	late        fault = "late"        // all is done, and the answer comes when nobody waits any more
	straggling  fault = "straggling"  // the request comes when nobody waits any more, not even for its undoing
)

// A script says what goes wrong. It is a function of the seed, the order and the
// idempotency key, so that it is the same for whoever sends a request, in whatever
// order they come.
type script struct{ seed uint64 }

// A fate is what an order cannot get over.
type fate struct {
	resource resource // where; "" if it gets over everything
	why      string   // it is refused for good,
	ever     fault    // or this goes wrong again and again
}

// fates are by how many of a hundred orders have them.
var fates = []struct {
	percent int
	fate    fate
}{
	{10, fate{reservations, "out of stock", fine}},
	{10, fate{charges, "card declined", fine}},
	{10, fate{charges, "", mute}},
	{6, fate{labels, "no such street", fine}},
	{6, fate{parcels, "too heavy", fine}},
	{8, fate{reservations, "", busy}},
}

func (s script) fate(order string) fate {
	n := s.dice("order " + order).IntN(100)
	for _, f := range fates {
		if n -= f.percent; n < 0 {
			return f.fate
		}
	}
	return fate{}
}

// action is what goes wrong with the n-th request, from 0 on, for an action. If its
// fate is no other, the fourth gets an answer at the latest. Who is busy for ever was
// not at first: there is an effect, and nothing that is heard afterwards tells of it.
func (s script) action(f fate, r resource, key string, n int) fault {
	switch {
	case f.resource == r && f.ever == mute:
		return pick(s.dice(key, "never", strconv.Itoa(n)), mute, straggling)
	case f.resource == r && f.ever == busy && n == 0:
		return late
	case f.resource == r && f.ever == busy:
		return busy
	}
	return s.some(key, n, unavailable, busy, reset, cut, mute, late, straggling)
}

// undoing is the same for a compensation.
func (s script) undoing(key string, n int) fault {
	return s.some(key, n, unavailable, reset, cut, mute, late)
}

// asking is the same for a question.
func (s script) asking(key string, n int) fault {
	return s.some(key+" ?", n, unavailable, reset)
}

// some draws how many requests with a key go wrong, none as a rule, and how.
func (s script) some(key string, n int, faults ...fault) fault {
	dice := s.dice(key)
	most := max(0, dice.IntN(7)-3) // 0, 1, 2 or 3
	if n >= most {
		return fine
	}
	for range n {
		dice.IntN(len(faults))
	}
	return pick(dice, faults...)
}

func pick(dice *rand.Rand, faults ...fault) fault { return faults[dice.IntN(len(faults))] }

// dice are the same for the same seed and text.
func (s script) dice(text ...string) *rand.Rand {
	h := fnv.New64a()
	for _, t := range text {
		_, _ = h.Write([]byte(t + "\n"))
	}
	return rand.New(rand.NewPCG(s.seed, h.Sum64()))
}
