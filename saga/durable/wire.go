package durable

import (
	"encoding/base64"
	"encoding/json"
	"strconv"
	"time"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// encodeAll encodes events for the store: JSON, one object each, but for those that only
// change the head. It is what encoding/json makes of a core.Event, by hand: a run writes
// some with every step, and they are most of what that costs besides the store.
func encodeAll(events []core.Event) ([][]byte, error) {
	var e encoder
	return e.encode(events)
}

// An encoder encodes into memory that it uses again with the next call, as a store keeps
// nothing of what it is given.
type encoder struct {
	buf []byte
	all [][]byte
}

func (c *encoder) encode(events []core.Event) ([][]byte, error) {
	if c.buf == nil {
		c.buf, c.all = make([]byte, 0, 512), make([][]byte, 0, 4) // of most writes
	}
	c.buf, c.all = c.buf[:0], c.all[:0]
	for i := range events {
		if events[i].Brief {
			continue
		}
		from := len(c.buf)
		var err error
		if c.buf, err = appendEvent(c.buf, &events[i]); err != nil {
			return nil, err
		}
		// If the buffer grows later, this is in the one before, which is as good.
		c.all = append(c.all, c.buf[from:len(c.buf):len(c.buf)])
	}
	if cap(c.buf) > maxBuffer { // not for good
		c.buf = nil
	}
	return c.all, nil
}

// maxBuffer is how large a buffer is that is used again.
const maxBuffer = 64 << 10

func appendEvent(b []byte, e *core.Event) ([]byte, error) {
	var err error
	b = appendText(append(b, `{"kind":`...), string(e.Kind))
	b = appendField(b, `,"step":`, e.Step)
	b = appendField(b, `,"of":`, e.Of)
	if b, err = appendTime(append(b, `,"at":`...), e.At); err != nil {
		return nil, err
	}
	if !e.Wake.IsZero() {
		if b, err = appendTime(append(b, `,"wake":`...), e.Wake); err != nil {
			return nil, err
		}
	}
	b = appendNumber(b, `,"attempt":`, e.Attempt)
	b = appendNumber(b, `,"outcome":`, int(e.Outcome))
	b = appendFlag(b, `,"tainted":true`, e.Tainted)
	b = appendFlag(b, `,"pivot":true`, e.Pivot)
	b = appendFlag(b, `,"final":true`, e.Final)
	b = appendNumber(b, `,"status":`, int(e.Status))
	b = appendNumber(b, `,"reason":`, int(e.Reason))
	b = appendField(b, `,"verb":`, e.Verb)
	b = appendField(b, `,"err":`, e.Err)
	b = appendField(b, `,"by":`, e.By)
	b = appendField(b, `,"why":`, e.Why)
	if e.Data != nil {
		b = appendBytes(append(b, `,"data":`...), e.Data)
	}
	for i, item := range e.Items {
		if i == 0 {
			b = append(b, `,"items":[`...)
		} else {
			b = append(b, ',')
		}
		b = appendBytes(b, item)
	}
	b = appendFlag(b, "]", len(e.Items) > 0)
	return append(b, '}'), nil
}

func appendField(b []byte, name, s string) []byte {
	if s == "" {
		return b
	}
	return appendText(append(b, name...), s)
}

func appendNumber(b []byte, name string, n int) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendInt(append(b, name...), int64(n), 10)
}

func appendFlag(b []byte, text string, is bool) []byte {
	if is {
		b = append(b, text...)
	}
	return b
}

// appendText leaves what has to be escaped to those who know how.
func appendText(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			quoted, _ := json.Marshal(s) // no string is refused
			return append(b, quoted...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}

func appendTime(b []byte, t time.Time) ([]byte, error) {
	b, err := t.AppendText(append(b, '"'))
	return append(b, '"'), err
}

func appendBytes(b, data []byte) []byte {
	if data == nil {
		return append(b, "null"...)
	}
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), data), '"')
}

// damaged is an event that cannot be decoded, which no program knows.
const damaged core.Kind = "damaged"

// decodeAll is the inverse of encodeAll. What is damaged is for the program to find.
func decodeAll(all [][]byte) []core.Event {
	events := make([]core.Event, len(all))
	for i, data := range all {
		if err := json.Unmarshal(data, &events[i]); err != nil {
			events[i] = core.Event{Kind: damaged, Err: err.Error(), Data: data}
		}
	}
	return events
}
