package eventbusbench

import (
	"context"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

type (
	question struct{ id int64 }
	answer   struct{ to int64 }
)

// respond stays a call: nobody's loop gets it inlined.
//
//go:noinline
func respond(_ context.Context, q question) (answer, error) { return answer{q.id}, nil }

func oursRequest() bench.Case {
	return bench.Case{Name: "mainstay Request", New: func() bench.Run {
		b := eventbus.MustNew(eventbus.Config{})
		s := got(eventbus.Respond(background, b, respond))
		check := func(n int) error {
			return want(s.Stats().Handled == uint64(n), "%d requests handled, not %d", s.Stats().Handled, n)
		}
		return bench.Run{Check: check, Close: closes(b), Loop: func(n int) (passed, failed int) {
			for i := range n {
				a, err := eventbus.Request[answer](background, b, question{int64(i)})
				if err == nil && a.to == int64(i) {
					passed++
				} else {
					failed++
				}
			}
			return passed, failed
		}}
	}}
}

// channelRequest asks a goroutine, and has one channel for all its answers.
func channelRequest() bench.Case {
	type call struct {
		question
		reply chan<- answer
	}
	return bench.Case{Name: "Go channels, there and back", New: func() bench.Run {
		calls, reply := make(chan call), make(chan answer)
		go func() {
			for c := range calls {
				c.reply <- got(respond(background, c.question))
			}
		}()
		return bench.Run{Close: func() { close(calls) }, Loop: func(n int) (passed, failed int) {
			for i := range n {
				calls <- call{question{int64(i)}, reply}
				if a := <-reply; a.to == int64(i) {
					passed++
				} else {
					failed++
				}
			}
			return passed, failed
		}}
	}}
}
