package saga

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"
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
// a WithValue, so that what Info tells is put together only if somebody asks.
type stepContext struct {
	context.Context //nolint:containedctx // it is one
	f               *frame
	i               int32
	attempt         int32
	undoing         bool
	outcome         Outcome
}

func (c *stepContext) Value(key any) any {
	if key == (infoKey{}) {
		return c
	}
	return c.Context.Value(key)
}

func (c *stepContext) info() StepInfo {
	r := c.f.run
	info := StepInfo{
		Saga:    r.prog.name,
		Run:     r.name(),
		Step:    c.f.path(int(c.i)),
		Attempt: int(c.attempt),
		Undoing: c.undoing,
		Outcome: c.outcome,
		Labels:  r.labels(),
	}
	info.Key = key(info.Saga, info.Run, info.Step, "do")
	if c.undoing {
		info.DoKey, info.Key = info.Key, key(info.Saga, info.Run, info.Step, "undo")
	}
	return info
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
