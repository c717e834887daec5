package main

import (
	"fmt"
	"io"
	"strings"
)

// A verdict tells whether an expectation held. They are about counts, shares and
// the order of things rather than about how fast the machine is.
type verdict struct {
	held     bool
	expected string
	found    string
}

// judge compares what happened with what all this is for.
func judge(s script, stages []stage, books totals, left leftovers) []verdict {
	return []verdict{
		expectNoFailure(stages),
		expectOrders(stages, books),
		expectShares(s, stages),
		expectDiscovery(stages),
		expectRetries(s, stages),
		expectDrain(s, stages),
		expectAllHappened(stages),
		expectClean(left),
	}
}

// verdicts prints them and reports whether all held.
func verdicts(w io.Writer, vs []verdict) bool {
	const column = 53
	all := true
	for _, v := range vs {
		mark := "ok    "
		if !v.held {
			mark, all = "FAILED", false
		}
		line := fmt.Sprintf("%s  %-*s  %s", mark, column, v.expected, v.found)
		if len(line) > width {
			line = fmt.Sprintf("%s  %s\n        %s", mark, v.expected, v.found)
		}
		fmt.Fprintln(w, line)
	}
	return all
}

// expectNoFailure is about all calls: there is always a backend that could have
// answered.
func expectNoFailure(stages []stage) verdict {
	calls, failed := 0, 0
	var first error
	for _, st := range stages {
		for _, s := range st.samples {
			calls++
			if s.err != nil {
				failed++
				if first == nil {
					first = fmt.Errorf("%s: %w", st.name, s.err)
				}
			}
		}
	}
	v := verdict{calls > 0 && failed == 0, "no call that could succeed failed", fmt.Sprintf("%d calls, %d failed", calls, failed)}
	if first != nil {
		v.found += ", first in " + first.Error()
	}
	return v
}

// expectOrders compares the ledger of the backends with what the client knows.
func expectOrders(stages []stage, books totals) verdict {
	posts := 0
	for _, st := range stages {
		posts += count(st.samples).posts
	}
	v := verdict{
		posts > 0 && books.orders == posts && books.mixed == 0,
		"every order is placed, and none twice",
		fmt.Sprintf("%d of %d, %d sent again", books.orders, posts, books.again),
	}
	if books.mixed > 0 {
		v.found += fmt.Sprintf(", %d keys with another order", books.mixed)
	}
	return v
}

// expectRetries is about what a trouble costs: only the calls of a backend that
// dies have to be sent again.
func expectRetries(s script, stages []stage) verdict {
	v := verdict{held: true, expected: "only calls to the dead one are sent again"}
	var found []string
	for _, st := range stages {
		if dies := st.kind == dying; dies && st.retries < uint64(s.underWay) || !dies && st.retries > 0 {
			v.held = false
		}
		if st.retries > 0 || st.kind == dying {
			found = append(found, fmt.Sprintf("%s: %d", st.name, st.retries))
		}
	}
	v.found = strings.Join(found, ", ")
	return v
}

func expectAllHappened(stages []stage) verdict {
	var wrong []string
	for _, st := range stages {
		if st.err != nil {
			wrong = append(wrong, fmt.Sprintf("%s: %v", st.name, st.err))
		}
	}
	return conclude("all that was to happen happened", len(stages), wrong)
}

func expectClean(left leftovers) verdict {
	v := verdict{left == leftovers{}, "nothing is left over", fmt.Sprintf("%d goroutines", left.goroutines)}
	if left.err != nil {
		v.found += ", " + left.err.Error()
	}
	return v
}

func conclude(expected string, of int, wrong []string) verdict {
	right := fmt.Sprintf("%d of %d", of-len(wrong), of)
	return verdict{len(wrong) == 0 && of > 0, expected, strings.Join(append([]string{right}, wrong...), "; ")}
}
