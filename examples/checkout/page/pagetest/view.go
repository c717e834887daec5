package pagetest

import (
	"time"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

// Spans are states and the seconds in which they begin.
func spans(at ...any) []page.Span {
	var all []page.Span
	for i := 0; i+1 < len(at); i += 2 {
		all = append(all, page.Span{State: at[i].(string), From: time.Duration(at[i+1].(float64) * float64(time.Second))})
	}
	return all
}

func everything() page.View {
	ill := []page.Fault{page.Kill, page.Slow, page.Storm, page.Heal}
	return page.View{
		Elapsed: 83 * time.Second,
		Note:    "payment-2 answers 503 with Retry-After",
		Orders:  page.Orders{Placed: 128, Running: 6, Completed: 112, Compensated: 9, Stuck: 1},
		Services: []page.Service{
			{Name: "stock", Instances: []page.Instance{
				{
					ID: "stock-1", Addr: "127.0.0.1:40101", Health: "passing", Breaker: "closed", Share: 1, InFlight: 2, Calls: 241,
					Timeline: spans("closed", 0.0), Faults: ill,
				},
			}},
			{Name: "payment", Instances: []page.Instance{
				{
					ID: "payment-1", Addr: "127.0.0.1:40201", Health: "passing", Breaker: "closed", Share: 0.58, InFlight: 3, Calls: 12_482,
					Timeline: spans("closed", 0.0, "open", 31.0, "half-open", 36.0, "open", 36.2, "half-open", 46.2, "closed", 46.4), Faults: ill,
				},
				{
					ID: "payment-2", Addr: "127.0.0.1:40202", Health: "critical", Fault: page.Storm, Breaker: "open", Share: 0.004, Calls: 9_811,
					Timeline: spans("closed", 0.0, "open", 72.5), Faults: ill,
				},
				{
					ID: "payment-3", Addr: "127.0.0.1:40203", Health: "passing", Breaker: "half-open", Share: 0.416, InFlight: 1, Calls: 10_007,
					Timeline: spans("closed", 0.0, "open", 52.0, "half-open", 70.0), Faults: ill,
				},
			}},
			{Name: "shipping", Instances: []page.Instance{
				{
					ID: "shipping-1", Addr: "127.0.0.1:40301", Health: "warning", Fault: page.Slow, Breaker: "recovering", Share: 0.2, InFlight: 4, Calls: 88,
					Timeline: spans("forced-closed", 0.0, "open", 40.0, "half-open", 52.0, "recovering", 66.0), Faults: ill,
				},
				{
					ID: "shipping-2", Addr: "127.0.0.1:40302", Health: "gone", Fault: page.Kill, Breaker: "forced-open", Calls: 61,
					Timeline: spans("closed", 28.0, "forced-open", 62.0), Faults: []page.Fault{page.Heal},
				},
			}},
			{Name: "orders", Instances: []page.Instance{{ID: "orders-1", Addr: "127.0.0.1:40001", Health: "starting", Faults: []page.Fault{page.Kill}}}},
		},
		Runs: []page.Run{
			{
				ID: "order-0042", Order: "3 lamps for Ada", Status: "stuck", Age: 71 * time.Second,
				Steps: []page.Step{
					{Name: "reserve", State: page.Failed, Attempts: 4, Err: "undo: stock/reservations answers 500: the shelf is locked"},
					{Name: "charge", State: page.Undone, Attempts: 1},
					{Name: "label", Group: "parcel", State: page.Undone, Attempts: 2},
					{Name: "invoice", Group: "parcel", State: page.Undone, Attempts: 1},
					{Name: "ship", State: page.Pending},
				},
			},
			{
				ID: "order-0117", Order: "1 kettle for Grace", Status: "running", Age: 6 * time.Second,
				Steps: []page.Step{
					{Name: "reserve", State: page.Done, Attempts: 1},
					{Name: "charge", State: page.Retrying, Attempts: 2, Err: "payment/charges answers 503 Service Unavailable"},
					{Name: "label", Group: "parcel", State: page.Pending},
					{Name: "invoice", Group: "parcel", State: page.Pending},
					{Name: "ship", State: page.Pending},
				},
			},
			{
				ID: "order-0121", Order: "2 books for Alan", Status: "compensating", Age: 3 * time.Second,
				Steps: []page.Step{
					{Name: "reserve", State: page.Done, Attempts: 1},
					{Name: "charge", State: page.Undoing, Attempts: 1},
					{Name: "label", Group: "parcel", State: page.Failed, Attempts: 3, Err: "shipping/labels: no such street"},
					{Name: "invoice", Group: "parcel", State: page.Undone, Attempts: 1},
					{Name: "ship", State: page.Pending},
				},
			},
			{
				ID: "order-0127", Order: "1 chair for Barbara", Status: "running", Age: 400 * time.Millisecond,
				Steps: []page.Step{
					{Name: "reserve", State: page.Done, Attempts: 1},
					{Name: "charge", State: page.Done, Attempts: 3, Err: "payment/charges answers 503 Service Unavailable"},
					{Name: "label", Group: "parcel", State: page.Done, Attempts: 1},
					{Name: "invoice", Group: "parcel", State: page.Active, Attempts: 1},
					{Name: "ship", State: page.Pending},
				},
			},
			{
				ID: "order-0128", Order: "5 pens for Edsger", Status: "waiting", Age: 0,
				Steps: []page.Step{{Name: "reserve", State: page.Active, Attempts: 1}, {Name: "charge", State: page.Pending}},
			},
		},
		Topics: []page.Topic{{Name: "saga.events", Published: 1_204}, {Name: "breaker.transitions", Published: 17}, {Name: "registry.changes", Published: 23}},
		Queues: []page.Queue{
			{Name: "ledger", Topic: "saga.events", Waiting: 3, Capacity: 64, Handled: 1_201},
			{Name: "notifier", Topic: "saga.events", Waiting: 16, Capacity: 16, Handled: 1_080, Dropped: 108, Failed: 2},
			{Name: "audit", Topic: "*", Waiting: 12, Handled: 1_232},
		},
		Log: []page.Line{
			{At: 28 * time.Second, Text: "shipping-2 has started"},
			{At: 31 * time.Second, Text: "payment-1: closed to open, 5 of 10 calls failed", Bad: true},
			{At: 46*time.Second + 400*time.Millisecond, Text: "payment-1: half-open to closed"},
			{At: 62 * time.Second, Text: "shipping-2 died", Bad: true},
			{At: 72*time.Second + 500*time.Millisecond, Text: "payment-2: closed to open, Retry-After: 2", Bad: true},
			{At: 82*time.Second + 900*time.Millisecond, Text: "order-0127: charge is done at the third attempt"},
		},
	}
}
