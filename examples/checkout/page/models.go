package page

import (
	"fmt"
	"slices"
	"time"
)

// Models are what the templates print: words and attributes, with nothing left to
// decide.

// Parts are the pieces of an instance, in the order in which they are read.
var parts = [...]string{"facts", "line", "load", "buttons"}

// A serviceFrame has a place for every instance of a service.
type serviceFrame struct {
	ID, Name string
	Rows     []row
}

type row struct {
	ID    string
	Parts [len(parts)]piece
}

func newFrame(id string, services []Service) []serviceFrame {
	frame := make([]serviceFrame, len(services))
	for s, service := range services {
		f := serviceFrame{ID: fmt.Sprintf("%s-%d", id, s), Name: clean(service.Name, maxName)}
		for i := range service.Instances {
			r := row{ID: fmt.Sprintf("%s-%d", f.ID, i)}
			for n, name := range parts {
				r.Parts[n].ID = r.ID + "-" + name
			}
			f.Rows = append(f.Rows, r)
		}
		frame[s] = f
	}
	return frame
}

// A now is what the head of the page says.
type now struct{ Time, Note string }

func newNow(v View) now { return now{watch(v.Elapsed), clean(v.Note, maxText)} }

// An instance is a row.
type instance struct {
	ID, Form, Addr     string
	Health, HealthKind string
	Fault              string
	Breaker, Kind      string
	Line               line
	Share, Width       string
	InFlight, Calls    string
	Buttons            []button
}

type button struct {
	Fault             Fault
	Label, About, For string
}

func newInstance(i Instance, now time.Duration) instance {
	m := instance{
		ID: clean(i.ID, maxName), Form: formName(i.ID), Addr: clean(i.Addr, maxName),
		Health: clean(i.Health, maxName), HealthKind: healthKind(i.Health),
		Fault:   clean(string(i.Fault), maxName),
		Breaker: clean(i.Breaker, maxName), Kind: kind(i.Breaker), Line: timeline(i.Timeline, now),
		Share: percent(i.Share), Width: width(i.Share),
		InFlight: whole(i.InFlight), Calls: number(i.Calls),
	}
	if w, ok := faultWords[i.Fault]; ok {
		m.Fault = w.state
	}
	for _, f := range faults {
		if slices.Contains(i.Faults, f) {
			w := faultWords[f]
			m.Buttons = append(m.Buttons, button{Fault: f, Label: w.button, About: w.about, For: m.ID})
		}
	}
	return m
}

// healthKind is the class of a health: how far it is to be worried about.
func healthKind(health string) string {
	switch health {
	case "passing":
		return "good"
	case "warning", "starting", "draining", "stale":
		return "fair"
	case "critical", "down", "gone":
		return "bad"
	}
	return "other"
}

// Orders are the counters, and the bar of what has become of the orders.
type orders struct {
	Counters []counter
	Bar      []segment
}

type counter struct{ Name, Kind, Count string }

type segment struct{ Kind, X, Width string }

func newOrders(o Orders) orders {
	m := orders{Counters: []counter{{"placed", "placed", whole(o.Placed)}}}
	ends := []struct {
		name string
		n    int
	}{{"completed", o.Completed}, {"compensated", o.Compensated}, {"running", o.Running}, {"stuck", o.Stuck}}
	sum := 0.0
	for _, e := range ends {
		sum += float64(max(e.n, 0))
	}
	all := max(float64(o.Placed), sum)
	at := 0.0
	for _, e := range ends {
		n := float64(max(e.n, 0))
		m.Counters = append(m.Counters, counter{e.name, e.name, whole(e.n)})
		if n > 0 {
			m.Bar = append(m.Bar, segment{e.name, width(at / all), width(n / all)})
		}
		at += n
	}
	return m
}

// A run is a saga with its steps in columns: those of a group are in one.
type run struct {
	ID, Order, Status, Kind, Age string
	Columns                      []column
	Errs                         []stepErr
}

type column struct {
	Group string // "": of one step
	Steps []step
}

type step struct {
	Name, State, Kind string
	Tries             string // "": one, or none
	Title             string
}

type stepErr struct{ Step, Text string }

func newRuns(runs []Run) []run {
	models := make([]run, len(runs))
	for i, r := range runs {
		m := run{
			ID: clean(r.ID, maxName), Order: clean(r.Order, 2*maxName),
			Status: clean(r.Status, maxName), Kind: runKind(r.Status), Age: age(r.Age),
		}
		group := ""
		for n, s := range r.Steps {
			if n == 0 || s.Group == "" || s.Group != group {
				m.Columns = append(m.Columns, column{Group: clean(s.Group, maxName)})
			}
			group = s.Group
			last := &m.Columns[len(m.Columns)-1]
			last.Steps = append(last.Steps, newStep(s))
			if s.Err != "" && s.State != Done && s.State != Undone {
				m.Errs = append(m.Errs, stepErr{clean(s.Name, maxName), clean(s.Err, maxText)})
			}
		}
		models[i] = m
	}
	return models
}

func newStep(s Step) step {
	m := step{Name: clean(s.Name, maxName), State: clean(string(s.State), maxName), Kind: stepKind(s.State), Title: clean(s.Err, maxText)}
	if s.Attempts > 1 {
		m.Tries = "attempt " + whole(s.Attempts)
	}
	return m
}

// stepKind is the class of a state, and the name of its sign.
func stepKind(s StepState) string {
	switch s {
	case Active, Retrying, Done, Failed, Undoing, Undone:
		return string(s)
	default:
		return string(Pending)
	}
}

func runKind(status string) string {
	switch status {
	case "running", "waiting", "compensating", "stuck":
		return status
	}
	return "other"
}

// A bus is its topics and queues.
type bus struct {
	Topics []topic
	Queues []queue
}

type topic struct{ Name, Published string }

type queue struct {
	Name, Topic              string
	Waiting, Capacity        string // Capacity "": it has none
	Width                    string // of the part that is full
	Full                     bool
	Handled, Dropped, Failed string
	Drops, Fails             bool
}

func newBus(v View) bus {
	var m bus
	for _, t := range v.Topics {
		m.Topics = append(m.Topics, topic{clean(t.Name, maxName), number(t.Published)})
	}
	for _, q := range v.Queues {
		n := queue{
			Name: clean(q.Name, maxName), Topic: clean(q.Topic, maxName), Waiting: whole(q.Waiting),
			Handled: number(q.Handled), Dropped: number(q.Dropped), Failed: number(q.Failed),
			Drops: q.Dropped > 0, Fails: q.Failed > 0,
		}
		if q.Capacity > 0 {
			n.Capacity, n.Width = whole(q.Capacity), width(float64(q.Waiting)/float64(q.Capacity))
			n.Full = q.Waiting >= q.Capacity
		}
		m.Queues = append(m.Queues, n)
	}
	return m
}

type logLine struct {
	At, Text string
	Bad      bool
}

// newLog has the latest line first, where it is seen without scrolling.
func newLog(lines []Line) []logLine {
	m := make([]logLine, 0, len(lines))
	for _, l := range slices.Backward(lines) {
		m = append(m, logLine{moment(l.At), clean(l.Text, maxText), l.Bad})
	}
	return m
}
