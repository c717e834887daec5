package sagatest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
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

	mu   sync.Mutex
	met  []turn
	seen map[string]bool
}

func newDirector(s schedule) *director { return &director{script: s, seen: make(map[string]bool)} }

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

// around is for Config.Around.
func (d *director) around(ctx context.Context, info saga.StepInfo, next func(context.Context) error) error {
	at, may := fmt.Sprintf("do %s %d", info.Step, info.Attempt), []string{doReject, doLoseTry, doLoseReply}
	if info.Undoing {
		at, may = fmt.Sprintf("undo %s %d", info.Step, info.Attempt), []string{doLoseTry, doLoseReply}
	}
	switch d.meet(at, may...) {
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
	switch p.d.meet("write "+named(events), dieBefore, dieAfter) {
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

// named is a name for what is written.
func named(events [][]byte) string {
	names := make([]string, len(events))
	for i, data := range events {
		var e struct {
			Kind, Step string
			Attempt    int
		}
		_ = json.Unmarshal(data, &e)
		names[i] = strings.TrimSpace(e.Kind + " " + e.Step)
		if e.Attempt > 0 {
			names[i] += fmt.Sprint(" ", e.Attempt)
		}
	}
	return strings.Join(names, " + ")
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
