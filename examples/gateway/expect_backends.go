package main

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// first is the first event of a kind about a backend, with its place.
func (st stage) first(id string, w what) (event, int) {
	i := slices.IndexFunc(st.events, func(e event) bool { return e.id == id && e.what == w })
	if i < 0 {
		return event{}, i
	}
	return st.events[i], i
}

// moves tells whether a backend leaves the registry in this stage, or comes back,
// as one does whose lease has lapsed because this machine stood still; and whether
// it is there at the end.
func (st stage) moves(id string, there bool) (moved, atEnd bool) {
	for _, e := range st.events {
		switch {
		case e.id != id:
		case e.what == joined:
			moved, there = true, true
		case e.what == expired, e.what == drained, e.what == removed:
			moved, there = true, false
		}
	}
	return moved, there
}

// expectShares is about who gets the calls: whoever is well a good part, whoever
// is slow little, and whoever is gone nothing. Who leaves in a phase is not judged
// in that.
func expectShares(s script, stages []stage) verdict {
	fair := 1 / float64(len(backendIDs))
	least, most := s.least*fair, s.most*fair
	judged := 0
	var wrong []string
	gone := make(map[string]bool)
	for _, st := range stages {
		t := count(st.samples)
		for _, id := range backendIDs {
			var ok bool
			moved, there := st.moves(id, !gone[id])
			gone[id] = !there
			switch share := t.share(id); {
			case moved:
				continue
			case !there:
				ok = t.by[id] == 0
			case st.kind == slow && id == slacker:
				ok = share <= most
			case st.kind == healthy:
				ok = share >= least
			default:
				continue
			}
			judged++
			if !ok {
				wrong = append(wrong, fmt.Sprintf("%s: %s has %s", st.name, id, percent(t.share(id))))
			}
		}
	}
	expected := fmt.Sprintf("shares: well %s or more, slow %s or less, gone 0%%", percent(least), percent(most))
	return conclude(expected, judged, wrong)
}

// expectDiscovery is about the backend that dies: calls find out first, and the
// registry does all the same. No other breaker opens.
func expectDiscovery(stages []stage) verdict {
	v := verdict{held: true, expected: "calls find out about the dead one, then the registry"}
	var found []string
	deaths := 0
	for _, st := range stages {
		death, at := st.first(victim, died)
		if st.kind == dying {
			deaths++
			v.held = v.held && at >= 0
		}
		if at >= 0 {
			how, ok := st.discovery(death)
			found, v.held = append(found, how), v.held && ok
		}
		for _, id := range backendIDs {
			if _, opens := st.first(id, opened); opens >= 0 && id != victim {
				found, v.held = append(found, fmt.Sprintf("%s: breaker of %s opened", st.name, id)), false
			}
		}
	}
	v.held = v.held && deaths > 0
	v.found = strings.Join(found, "; ")
	return v
}

// discovery tells who found out about a death, in the order in which they did, and
// whether the breaker was first and the lease last.
func (st stage) discovery(death event) (how string, ok bool) {
	by := map[what]string{opened: "breaker", critical: "check", expired: "lease"}
	var all []string
	var order []what
	for _, e := range st.events {
		name := by[e.what]
		if e.id != victim || name == "" || slices.Contains(order, e.what) {
			continue
		}
		order = append(order, e.what)
		all = append(all, fmt.Sprintf("%s %v", name, short(e.at.Sub(death.at).Round(time.Millisecond))))
	}
	if len(all) == 0 {
		return "nobody", false
	}
	return strings.Join(all, ", "), order[0] == opened && len(order) > 1 && order[len(order)-1] == expired
}

// expectDrain is about the backend that leaves as it should: it says so before it
// stops, nobody picks it any more, and the calls it has are finished.
func expectDrain(s script, stages []stage) verdict {
	v := verdict{expected: "who drains says so, finishes its calls, then stops"}
	for _, st := range stages {
		if st.kind != draining {
			continue
		}
		begin, b := st.first(leaver, isDraining)
		asked, u := st.first(leaver, unready)
		end, e := st.first(leaver, drained)
		_, stop := st.first(leaver, stopped)
		if min(b, u, e, stop) < 0 {
			v.found = "not all of it happened"
			return v
		}
		v.held = b < e && u < e && e < stop && asked.calls >= s.underWay && end.calls == 0 && end.picks <= begin.picks
		v.found = fmt.Sprintf("%d calls when unready, %d at its end", asked.calls, end.calls)
		if end.picks > begin.picks {
			v.found += fmt.Sprintf(", %d picked later", end.picks-begin.picks)
		}
		return v
	}
	v.found = "nobody drained"
	return v
}
