package sagatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// A turn is a place where a schedule may do something else, and what.
type turn struct{ at, does string }

// What a schedule may do. Otherwise an attempt is left to the saga, and the process
// lives.
const (
	doReject    = "rejected"       // without an effect
	doLoseTry   = "lost"           // an error, and no effect
	doLoseReply = "lost after"     // an error after the effect
	dieBefore   = "crash before"   // before it is written
	dieAfter    = "crash after it" // after it is written
)

// A schedule is the turns that are taken.
type schedule []turn

// String is a line that parse understands.
func (s schedule) String() string {
	lines := make([]string, len(s))
	for i, t := range s {
		lines[i] = t.at + ": " + t.does
	}
	return strings.Join(lines, "; ")
}

func parse(line string) (s schedule, err error) {
	for part := range strings.SplitSeq(line, "; ") {
		i := strings.LastIndex(part, ": ")
		if i < 0 {
			return nil, fmt.Errorf("sagatest: Only is %q, want what a failed Explore has printed", line)
		}
		s = append(s, turn{part[:i], part[i+2:]})
	}
	return s, nil
}

// does is what is to happen at a place; "" if nothing.
func (s schedule) does(at string) string {
	for _, t := range s {
		if t.at == at {
			return t.does
		}
	}
	return ""
}

// children are the schedules with one turn more, which is later than all others. met are
// the turns of the schedule itself, in order.
func (s schedule) children(met []turn, crashes int) (all []schedule) {
	died := 0
	for _, t := range s {
		if t.does == dieBefore || t.does == dieAfter {
			died++
		}
	}
	last := -1
	for i, t := range met {
		if s.does(t.at) != "" {
			last = i
		}
	}
	for _, t := range met[last+1:] {
		crash := t.does == dieBefore || t.does == dieAfter
		if s.does(t.at) == "" && (!crash || died < crashes) {
			all = append(all, append(slices.Clip(slices.Clone(s)), t))
		}
	}
	return all
}

// A director has a run do what a schedule says, and notes what else it might.
type director struct {
	script schedule

	known *events

	mu    sync.Mutex
	met   []turn
	seen  map[string]bool
	fails map[string]int // attempts, by what they are of
	keys  map[string]string
	tries map[string]int // by key
	wrong error          // of the keys
	stray string         // what has been tried for too long; "": nothing
}

func newDirector(s schedule, known *events) *director {
	return &director{
		script: s, known: known, seen: make(map[string]bool), fails: make(map[string]int), keys: make(map[string]string), tries: make(map[string]int),
	}
}

// maxDoFails and maxUndoFails are how often a schedule has one action and one
// compensation fail, which otherwise might go on for ever.
const (
	maxDoFails   = 3
	maxUndoFails = 2
)

// attempt is meet for an attempt of something: if that has failed often enough no
// schedule has it fail once more.
func (d *director) attempt(of string, n, most int, may ...string) string {
	d.mu.Lock()
	if d.fails[of] >= most {
		may = nil
	}
	d.mu.Unlock()
	does := d.meet(of+" "+strconv.Itoa(n), may...)
	if does != "" {
		d.mu.Lock()
		d.fails[of]++
		d.mu.Unlock()
	}
	return does
}

// meet notes a place, with what may happen there, and tells what does, at the first
// time.
func (d *director) meet(at string, may ...string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.seen[at] {
		return ""
	}
	d.seen[at] = true
	for _, does := range may {
		d.met = append(d.met, turn{at, does})
	}
	return d.script.does(at)
}

var errExplored = errors.New("sagatest: the schedule says so")

// key checks that all attempts of one thing have one key, and nothing else has.
func (d *director) key(info saga.StepInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	of := fmt.Sprintf("%v %s", info.Undoing, info.Step)
	for other, key := range d.keys {
		if (other == of) != (key == info.Key) && d.wrong == nil {
			d.wrong = fmt.Errorf("sagatest: the key of %s is %q, and was %q", info.Step, info.Key, key)
		}
	}
	d.keys[of] = info.Key
	if d.tries[info.Key]++; d.tries[info.Key] > maxTries {
		d.stray = info.Step
	}
}

// maxTries is how many attempts of one thing may be made until it counts as endless.
const maxTries = 1000

func (d *director) endless() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.stray
}

// around is for Config.Around.
func (d *director) around(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
	var does string
	if d.key(info); d.endless() != "" { // no more of it
		<-ctx.Done()
		return context.Cause(ctx)
	}
	if info.Undoing {
		does = d.attempt("undo "+info.Step, info.Attempt, maxUndoFails, doLoseTry, doLoseReply)
	} else {
		does = d.attempt("do "+info.Step, info.Attempt, maxDoFails, doReject, doLoseTry, doLoseReply)
	}
	switch does {
	case doReject:
		return saga.Reject(errExplored)
	case doLoseTry:
		return errExplored
	case doLoseReply:
		if err := next(ctx); err != nil {
			return err
		}
		return errExplored
	}
	return next(ctx)
}

// A process is a store as long as its process lives.
type process struct {
	durable.Store
	d    *director
	dead chan struct{} // closed when it has died

	mu   sync.Mutex
	over bool
}

func (d *director) process(store durable.Store) *process {
	return &process{Store: store, d: d, dead: make(chan struct{})}
}

var errDied = errors.New("sagatest: the process has died")

func (p *process) isDead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// write writes events, unless the process dies before. Writes without events are
// nothing that a crash would make a difference to.
func (p *process) write(events [][]byte, do func() error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return errDied
	}
	if len(events) == 0 {
		return do()
	}
	switch p.d.meet("write "+p.d.known.named(events), dieBefore, dieAfter) {
	case dieBefore:
	case dieAfter:
		_ = do()
	default:
		return do()
	}
	p.over = true
	close(p.dead)
	return errDied
}

// An events decodes what is written. Schedules write the same again and again, at the
// same instants, as they all begin at that of their bubble.
type events struct{ known map[string]durable.Event }

// maxKnown is how many are kept.
const maxKnown = 10_000

func (x *events) decode(data []byte) (durable.Event, error) {
	if e, ok := x.known[string(data)]; ok {
		return e, nil
	}
	var e core.Event
	if err := json.Unmarshal(data, &e); err != nil {
		return durable.Event{}, err
	}
	if x.known == nil || len(x.known) == maxKnown {
		x.known = make(map[string]durable.Event)
	}
	told := durable.Event{
		At: e.At, Wake: e.Wake, Kind: string(e.Kind), Step: e.Step, Attempt: e.Attempt, Outcome: saga.Outcome(e.Outcome),
		Tainted: e.Tainted, Reason: saga.Reason(e.Reason), Err: e.Err, By: e.By, Why: e.Why, Data: e.Data,
	}
	x.known[string(data)] = told
	return told, nil
}

// record is what Engine.Get returns, but for its drawing.
func (x *events) record(h durable.Head, all [][]byte) (*durable.Record, error) {
	rec := &durable.Record{Head: h, Events: make([]durable.Event, len(all))}
	for i, data := range all {
		e, err := x.decode(data)
		if err != nil {
			return nil, err
		}
		e.N = i + 1
		rec.Events[i] = e
	}
	return rec, nil
}

// named is a name for what is written.
func (x *events) named(all [][]byte) string {
	names := make([]string, len(all))
	for i, data := range all {
		e, _ := x.decode(data)
		names[i] = strings.TrimSpace(e.Kind + " " + e.Step)
		if e.Attempt > 0 {
			names[i] += " " + strconv.Itoa(e.Attempt)
		}
	}
	return strings.Join(names, " + ")
}

// Watch is that of the store, so that nobody has to ask it every second.
func (p *process) Watch(ctx context.Context) (<-chan struct{}, error) {
	return p.Store.(durable.Watcher).Watch(ctx)
}

func (p *process) Create(ctx context.Context, h durable.Head, ttl time.Duration, events [][]byte) error {
	return p.write(events, func() error { return p.Store.Create(ctx, h, ttl, events) })
}

func (p *process) Append(ctx context.Context, at uint64, h durable.Head, ttl time.Duration, events [][]byte) error {
	return p.write(events, func() error { return p.Store.Append(ctx, at, h, ttl, events) })
}

func (p *process) Load(ctx context.Context, id string) (durable.Head, [][]byte, error) {
	if p.isDead() {
		return durable.Head{}, nil, errDied
	}
	return p.Store.Load(ctx, id)
}

func (p *process) Claim(ctx context.Context, req durable.ClaimRequest) ([]durable.Head, time.Duration, error) {
	if p.isDead() {
		return nil, -1, errDied
	}
	return p.Store.Claim(ctx, req)
}
