package composedbench

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
)

// atMost is the bar: how much longer the whole path may take than a bare
// http.Client, at the median.
const atMost = 0.05

// batch is how many calls one client makes before it is the turn of the next:
// about a millisecond of them, so that all see the same quiet and noisy times.
const batch = 32

// warmUp is so many batches of each client before they are measured, in which
// connections are made.
const warmUp = 10

// overhead is a table of what the ways to call take at the median of all calls.
// A ratio of means, of times that are farther apart, moves by more than the bar.
func overhead(kinds []kind, rounds, batches int) bench.Table {
	others := ways[2:]
	t := bench.Table{
		Name: "Overhead of a call at the median",
		Note: fmt.Sprintf("In each of %d rounds every client is set up anew and makes %d calls in batches of %d, by turns, so that all see the same noise. "+
			"What is compared is the time of single calls, up to the end of the body, with those of http.Client in the same round; given are the median of the rounds and their middle half. "+
			"The bar is for the composed path: at most %s more than http.Client.", rounds, batches*batch, batch, percent(atMost)),
		Columns: []string{"", "http.Client, p50 ns", "p99 ns", "composed, p50 ns", "p99 ns", "composed is", "bar", "measured"},
	}
	for _, w := range others {
		t.Columns = append(t.Columns, w.short+" is")
	}
	t.Rows = func() [][]string {
		s := sites{}
		defer s.close()
		var rows [][]string
		for _, k := range kinds {
			all := make([][]result, 0, rounds)
			for range rounds {
				all = append(all, got(play(k, s.of(k.instances), batches)))
			}
			rows = append(rows, tell(k, all))
		}
		return rows
	}
	return t
}

// A result is what the calls of one client took in a round.
type result struct{ p50, p99 float64 }

// play is a round. The results are by way.
func play(k kind, at *site, batches int) ([]result, error) {
	at.begin()
	clients := make([]client, len(ways))
	for i, w := range ways {
		clients[i] = w.set(at.addrs)
		defer clients[i].closing()
	}
	if _, err := byBatches(k, clients, warmUp); err != nil {
		return nil, err
	}
	took, err := byBatches(k, clients, batches)
	if err != nil {
		return nil, err
	}
	n := (warmUp + batches) * batch
	all, _ := at.hits()
	err = want(all == n*len(clients), "the servers had %d calls, not %d of each", all, n)
	results := make([]result, len(clients))
	for i, c := range clients {
		if c.counted != nil {
			err = errors.Join(err, c.counted(n))
		}
		slices.Sort(took[i])
		results[i] = result{float64(took[i][len(took[i])/2]), float64(took[i][len(took[i])*99/100])}
	}
	return results, err
}

// byBatches has the clients make so many batches of calls by turns, and tells
// what each call took.
func byBatches(k kind, clients []client, batches int) (took [][]time.Duration, err error) {
	took = make([][]time.Duration, len(clients))
	for i := range took {
		took[i] = make([]time.Duration, batches*batch)
	}
	for b := range batches {
		for i := range clients {
			turn := (i + b) % len(clients)
			one := clients[turn].caller(k)
			into := took[turn][b*batch:]
			err := share(k.callers, batch, func(i int, buf []byte) error {
				begin := time.Now()
				err := one(buf)
				into[i] = time.Since(begin)
				return err
			})
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", k, ways[turn].name, err)
			}
		}
	}
	return took, nil
}

// tell makes the row of a kind of call. The first way is what the others are
// compared with, and the second has the bar.
func tell(k kind, rounds [][]result) []string {
	bare, ours := times(rounds, 0), times(rounds, 1)
	over := more(rounds, 1)
	verdict := "**missed**"
	if over.Median <= atMost {
		verdict = "met"
	}
	row := []string{k.String(), bare[0], bare[1], ours[0], ours[1], spread(over), "<= " + percent(atMost) + " more", verdict}
	for i := 2; i < len(ways); i++ {
		row = append(row, spread(more(rounds, i)))
	}
	return row
}

func times(rounds [][]result, way int) [2]string {
	var p50, p99 []float64
	for _, r := range rounds {
		p50, p99 = append(p50, r[way].p50), append(p99, r[way].p99)
	}
	return [2]string{nanos(p50), nanos(p99)}
}

func nanos(samples []float64) string {
	return strconv.FormatFloat(bench.SpreadOf(samples).Median, 'f', 0, 64)
}

// more is by what part the median of a way is above that of the first.
func more(rounds [][]result, way int) bench.Spread {
	var over []float64
	for _, r := range rounds {
		over = append(over, r[way].p50/r[0].p50-1)
	}
	return bench.SpreadOf(over)
}

func spread(s bench.Spread) string {
	return fmt.Sprintf("%.1f %% (%.1f to %.1f) more", 100*s.Median, 100*s.Low, 100*s.High)
}

func percent(part float64) string { return strconv.FormatFloat(100*part, 'f', -1, 64) + " %" }
