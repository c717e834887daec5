package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync/atomic"
)

// StepInfo says which attempt of what a context is for.
type StepInfo struct {
	Saga, Run string
	Step      string // its path: names from the outermost saga on, with "/" in between
	Attempt   int    // 1, 2, ...; never the same twice, also after a restart
	Undoing   bool   // it is an attempt of Undo

	// Key is the idempotency key of this action or compensation: the same for
	// all attempts, restarts and owners, another one for anything else. At most
	// 255 bytes of visible ASCII, so that it can be an Idempotency-Key header.
	// With that header net/http repeats a request by itself when a connection
	// breaks, and the answer may be about the repetition: to take one for a
	// [Reject], set Request.GetBody to nil.
	Key string

	// DoKey is the Key of the action that is undone; empty if this is no Undo.
	// With it the other side can refuse an action that arrives late.
	DoKey string

	// Outcome is, in an Undo, what is known about the action: Applied or
	// Unknown.
	Outcome Outcome

	// Labels are those of StartConfig, a copy.
	Labels map[string]string
}

// Info is about the attempt that ctx was made for. It is zero outside of a step.
func Info(ctx context.Context) StepInfo {
	if ctx == nil {
		return StepInfo{}
	}
	if c, ok := ctx.Value(infoKey{}).(*stepContext); ok {
		return c.info()
	}
	return StepInfo{}
}

type infoKey struct{}

// A stepContext is the context of one attempt. It is a type of its own rather than
// a WithValue, so that what Info tells is put together only if somebody asks. Whoever
// keeps one keeps the origin, too, but not the run, which is used again.
type stepContext struct {
	*origin
	i       int32
	attempt int32
	undoing bool
	outcome Outcome
}

// An origin is what the contexts of several attempts come from.
type origin struct {
	context.Context //nolint:containedctx // it is one
	*identity
	f *frame // of the steps; nil: the first level of a run in memory
}

// origin is one for the steps of a frame.
func (r *run) origin(ctx context.Context, f *frame) *origin {
	return &origin{ctx, r.self, r.lasting(f)}
}

// lasting is a frame for what may outlive the run: nil for the first level of one in
// memory, which is used again, and of which the names of steps are all there is to tell.
func (r *run) lasting(f *frame) *frame {
	if r.journal == nil && f == &r.frame {
		return nil
	}
	return f
}

// An identity is what all contexts of a run tell about it.
type identity struct {
	prog *program
	cfg  *RunConfig
	tags map[string]string // labels of the run

	id   string                 // "": it was not given one
	made atomic.Pointer[string] // the one that was made then; nil: nobody has asked
}

func (c *stepContext) Value(key any) any {
	if key == (infoKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *stepContext) info() StepInfo {
	info := StepInfo{
		Saga:    c.prog.name,
		Run:     c.name(),
		Step:    c.path(int(c.i)),
		Attempt: int(c.attempt),
		Undoing: c.undoing,
		Outcome: c.outcome,
		Labels:  maps.Clone(c.tags),
	}
	info.Key = key(info.Saga, info.Run, info.Step, "do")
	if c.undoing {
		info.DoKey, info.Key = info.Key, key(info.Saga, info.Run, info.Step, "undo")
	}
	return info
}

// path is the full name of a step.
func (o *origin) path(i int) string {
	if o.f == nil {
		return o.prog.nodes[i].name
	}
	return o.f.path(i)
}

// name is the ID of the run. A random one is made when somebody asks.
func (d *identity) name() string {
	if id := d.known(); id != "" {
		return id
	}
	id := randomID(d.cfg.Rand)
	d.made.CompareAndSwap(nil, &id)
	return *d.made.Load()
}

// known is the ID of the run as far as anybody knows it.
func (d *identity) known() string {
	if id := d.made.Load(); id != nil {
		return *id
	}
	return d.id
}

// randomID is 125 random bits.
func randomID(random func() uint64) string {
	if random == nil {
		random = rand.Uint64
	}
	const digits, half = "0123456789abcdefghijklmnopqrstuv", 13
	var id [2 * half]byte
	for h := 0; h < len(id); h += half {
		for i, bits := 0, random(); i < half; i, bits = i+1, bits>>5 {
			id[h+i] = digits[bits&31]
		}
	}
	return string(id[:])
}

const maxKey = 255

// key is an idempotency key: its parts, escaped to visible ASCII, joined by "/".
// What is too long ends in a hash of all instead.
func key(saga, run, path, verb string) string {
	var b strings.Builder
	escape(&b, saga, false)
	b.WriteByte('/')
	escape(&b, run, false)
	b.WriteByte('/')
	escape(&b, path, true)
	b.WriteByte('/')
	b.WriteString(verb)
	if b.Len() <= maxKey {
		return b.String()
	}
	sum := sha256.Sum256([]byte(b.String()))
	tail := "~" + hex.EncodeToString(sum[:])
	return b.String()[:maxKey-len(tail)] + tail
}

// escape writes a part of a key. A path is already parts joined by "/".
func escape(b *strings.Builder, s string, path bool) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == '/' && path, c > ' ' && c < 0x7f && c != '/' && c != '%' && c != '~':
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			if c < 16 {
				b.WriteByte('0')
			}
			b.WriteString(strings.ToUpper(strconv.FormatUint(uint64(c), 16)))
		}
	}
}
