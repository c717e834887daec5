package main

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/saga"
)

// describe puts what the bus tells into words.
func describe(data any) string {
	switch e := data.(type) {
	case breaker.Transition:
		return fmt.Sprintf("%s: breaker %v, was %v%s", e.Name, e.To, e.From, because(e.Cause))
	case registry.Change:
		return fmt.Sprintf("%s: %s", e.ID, changed(e))
	case saga.StatusEvent:
		return fmt.Sprintf("%s: %v%s", e.Run, e.To, because(e.Cause))
	case saga.StepInfo:
		return fmt.Sprintf("%s: %s%s, attempt %d", e.Run, undoing(e), e.Step, e.Attempt)
	case saga.StepEvent:
		return fmt.Sprintf("%s: %s%s, attempt %d: %v%s", e.Info.Run, undoing(e.Info), e.Info.Step, e.Info.Attempt, e.Result, because(e.Err))
	case Order:
		return fmt.Sprintf("%s: %s", e.ID, wanted(e))
	case Ended:
		text := fmt.Sprintf("%s: %v", e.Order.ID, e.Status)
		if e.Again {
			text += ", perhaps told before"
		}
		return text
	case News:
		return e.Text
	case eventbus.Failure:
		return fmt.Sprintf("%s: given up after %d attempts%s", e.Subscription, e.Attempts, because(e.Err))
	}
	return fmt.Sprint(data)
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// reason is a cause in the few words that a table has room for. It goes by the text
// alone: an error that has been in the journal is nothing else any more.
func reason(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "no instance available: breaker:"):
		return "all breakers are open"
	case strings.Contains(text, "no instance available"):
		return "nobody is there"
	case strings.Contains(text, context.DeadlineExceeded.Error()):
		return "no answer in time"
	default:
		return strings.TrimPrefix(text, strconv.Itoa(http.StatusConflict)+" ")
	}
}

func undoing(i saga.StepInfo) string {
	if i.Undoing {
		return "undo "
	}
	return ""
}

// wanted is an order in words.
func wanted(o Order) string { return fmt.Sprintf("%s wants %d x %s", o.Customer, o.Quantity, o.Item) }

// changed is what has become of an instance.
func changed(c registry.Change) string {
	switch {
	case c.After == nil:
		return "gone: " + string(c.Reason)
	case c.Before == nil:
		return "registered"
	case c.Before.Health() != c.After.Health():
		return c.After.Health().String()
	}
	return string(c.Reason)
}
