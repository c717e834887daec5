package main

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/mainstay-go/mainstay/eventbus"
)

// width is that of a line.
const width = 100

// introduce tells what the day is like.
func introduce(w io.Writer, d day) {
	fmt.Fprintf(w, `An order service publishes orders for a dashboard, which keeps up, and a mailer, which does not.
Each of the two has room for %d orders. One order in %d is without an address, so the mailer's
filter refuses it; the address of order %d does not exist, so its mail fails.

`, d.room, d.silent, d.mistaken)
	for _, p := range d.phases {
		fmt.Fprintf(w, "%s: %d orders, and %s in the time of %s\n", p.name, p.orders, count(p.mails, "mail"), count(p.after, "order"))
	}
	fmt.Fprintln(w)
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// says is what happens to an order for which there is no room.
var says = map[eventbus.Overflow]string{
	eventbus.Block:      "the shop waits until there is room",
	eventbus.DropOldest: "the subscription loses the oldest order that waits",
	eventbus.DropNewest: "the subscription loses the order",
	eventbus.Fail:       "the shop is refused, and nobody gets the order",
	eventbus.Disconnect: "the subscription ends",
	eventbus.Unbounded:  "there is always room",
}

// tell prints what a day was like.
func tell(w io.Writer, o outcome) {
	fmt.Fprintf(w, "--- %v: %s\n", o.policy, says[o.policy])
	line := func(who, format string, args ...any) {
		fmt.Fprintf(w, "    %-10s %s\n", who, fmt.Sprintf(format, args...))
	}
	line("shop", "published %d of %d orders", o.published, o.placed)
	if len(o.waited) > 0 {
		line("", "waited with %s", ranges(o.waited))
	}
	if len(o.refused) > 0 {
		line("", "was refused %s", ranges(o.refused))
	}
	for _, b := range o.books {
		line(b.name, "saw %s", saw(b.seen))
		if b.end != nil {
			line("", "ended: %v", b.end)
		}
	}
	fmt.Fprintln(w)
}

// saw lists orders and, in brackets, how many were lost before one.
func saw(seen []eventbus.Event[Order]) string {
	var parts []string
	var ids []int
	for _, e := range seen {
		if e.Lag > 0 {
			if len(ids) > 0 {
				parts = append(parts, ranges(ids))
			}
			parts, ids = append(parts, fmt.Sprintf("[%d lost]", e.Lag)), nil
		}
		ids = append(ids, e.Data.ID)
	}
	return strings.Join(append(parts, ranges(ids)), " ")
}

// ranges lists numbers, those that follow each other as a range.
func ranges(ids []int) string {
	var parts []string
	for i := 0; i < len(ids); {
		j := i
		for j+1 < len(ids) && ids[j+1] == ids[j]+1 {
			j++
		}
		switch j - i {
		case 0:
			parts = append(parts, fmt.Sprint(ids[i]))
		case 1:
			parts = append(parts, fmt.Sprint(ids[i]), fmt.Sprint(ids[j]))
		default:
			parts = append(parts, fmt.Sprintf("%d-%d", ids[i], ids[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, " ")
}

// covered is how many of the published orders came in the life of a subscription:
// the one that ended it, whose number the error has, did not.
func (b book) covered(published int64) int64 {
	if full := (*eventbus.Error)(nil); errors.As(b.end, &full) {
		return full.Seq - 1
	}
	return published
}

// missed is how many orders were published after its end.
func (b book) missed(published int64) int64 { return published - b.covered(published) }

// sum is all that may become of an order.
func (b book) sum(published int64) int64 {
	s := b.stats
	n := s.Handled + s.Failed + s.Filtered + s.Lagged + s.Discarded
	return int64(n) + int64(s.Depth+s.Running) + b.missed(published)
}

// table prints the account of every subscription.
func table(w io.Writer, outcomes []outcome) {
	const row = "%-10s  %-9s  %9v = %7v + %6v + %8v + %6v + %9v + %6v\n"
	fmt.Fprintf(w, row, "policy", "", "published", "handled", "failed", "filtered", "lagged", "discarded", "missed")
	for _, o := range outcomes {
		for _, b := range o.books {
			s := b.stats
			fmt.Fprintf(w, row, o.policy, b.name, o.published, s.Handled, s.Failed, s.Filtered, s.Lagged, s.Discarded, b.missed(o.published))
		}
	}
	fmt.Fprintln(w, `
lagged: lost because there was no room        discarded: waited when the subscription ended
missed: the order that ended it, and those after`)
	fmt.Fprintln(w)
}
