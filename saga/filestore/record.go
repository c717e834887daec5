package filestore

import (
	"encoding/binary"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// The body of a frame of a run is its head, after its length, and the number of
// events and the events, each after its length. Rev and Epoch are in the header
// of the frame; the lease is kept nowhere, as it ends with the process.

// appendBody appends the body for a head and events.
func appendBody(b []byte, h *durable.Head, events [][]byte) []byte {
	var room [256]byte // of most heads, so that there is one allocation
	head := appendHead(room[:0], h)
	size := len(head) + 2*binary.MaxVarintLen32
	for _, e := range events {
		size += len(e) + binary.MaxVarintLen32
	}
	b = slices.Grow(b, size)
	b = appendBytes(b, head)
	b = binary.AppendUvarint(b, uint64(len(events)))
	for _, e := range events {
		b = appendBytes(b, e)
	}
	return b
}

// inFlight is the bit of a status that says Head.InFlight.
const inFlight = 0x80

func appendHead(b []byte, h *durable.Head) []byte {
	b = appendBytes(b, h.ID)
	b = appendBytes(b, h.Saga)
	b = appendBytes(b, h.Fingerprint)
	b = appendBytes(b, h.Step)
	status := byte(h.Status)
	if h.InFlight {
		status |= inFlight
	}
	b = append(b, status, byte(h.Reason))
	b = binary.AppendVarint(b, int64(h.Attempt))
	b = appendTime(b, h.WakeAt)
	b = appendTime(b, h.CreatedAt)
	b = appendTime(b, h.UpdatedAt)
	b = binary.AppendUvarint(b, uint64(len(h.Labels)))
	if len(h.Labels) > 0 {
		for _, k := range slices.Sorted(maps.Keys(h.Labels)) {
			b = appendBytes(b, k)
			b = appendBytes(b, h.Labels[k])
		}
	}
	return b
}

func appendBytes[T string | []byte](b []byte, v T) []byte {
	b = binary.AppendUvarint(b, uint64(len(v)))
	return append(b, v...)
}

func appendTime(b []byte, t time.Time) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(t.Unix()))
	return binary.LittleEndian.AppendUint32(b, uint32(t.Nanosecond()))
}

// A reader takes a body apart. After the first thing that is not there it is bad
// and returns nothing but zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) fail() {
	r.b, r.bad = nil, true
}

// bytes returns n bytes that are part of the body.
func (r *reader) bytes(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) slice() []byte { return r.bytes(r.uvarint()) }

func (r *reader) byte() byte {
	if v := r.bytes(1); v != nil {
		return v[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if v := r.bytes(8); v != nil {
		return binary.LittleEndian.Uint64(v)
	}
	return 0
}

func (r *reader) time() time.Time {
	sec := r.uint64()
	v := r.bytes(4)
	if v == nil {
		return time.Time{}
	}
	return time.Unix(int64(sec), int64(binary.LittleEndian.Uint32(v))).UTC()
}

// names keeps one copy of the strings that many runs have in common.
type names map[string]string

func (n names) get(b []byte) string {
	if s, ok := n[string(b)]; ok {
		return s
	}
	if len(n) >= 4096 {
		clear(n) // steps of a fan-out have a name each
	}
	s := string(b)
	n[s] = s
	return s
}

// head reads a head. What has not changed since the former one is taken from
// there, so that a scan allocates little.
func (r *reader) head(former *durable.Head, known names) durable.Head {
	h := durable.Head{Labels: former.Labels}
	if id := r.slice(); string(id) == former.ID {
		h.ID = former.ID
	} else {
		h.ID = string(id)
	}
	h.Saga = known.get(r.slice())
	h.Fingerprint = known.get(r.slice())
	h.Step = known.get(r.slice())
	status := r.byte()
	h.Status, h.InFlight = saga.Status(status&^inFlight), status&inFlight != 0
	h.Reason = saga.Reason(r.byte())
	h.Attempt = int(min(max(r.varint(), math.MinInt), math.MaxInt))
	h.WakeAt = r.time()
	h.CreatedAt = r.time()
	h.UpdatedAt = r.time()
	h.Labels = r.labels(former.Labels)
	return h
}

func (r *reader) labels(former map[string]string) map[string]string {
	n := r.uvarint()
	if n == 0 || n > uint64(len(r.b)) {
		r.bad = r.bad || n != 0
		return nil
	}
	again := *r
	same := n == uint64(len(former))
	for range n {
		k := r.slice()
		v, ok := former[string(k)]
		if same = same && ok && string(r.slice()) == v; !same {
			break
		}
	}
	if same && !r.bad {
		return former
	}
	*r = again
	labels := make(map[string]string, min(n, 64))
	for range n {
		k := string(r.slice())
		labels[k] = string(r.slice())
	}
	return labels
}

// readHead reads the head of a body.
func readHead(body []byte, former *durable.Head, known names) (durable.Head, bool) {
	outer := reader{b: body}
	r := reader{b: outer.slice()}
	h := r.head(former, known)
	return h, !outer.bad && !r.bad && len(r.b) == 0
}

// readEvents appends the events of a body, which stay a part of it.
func readEvents(events [][]byte, body []byte) ([][]byte, bool) {
	r := reader{b: body}
	r.slice()
	n := r.uvarint()
	for range n {
		if r.bad {
			break // n itself may be nonsense
		}
		events = append(events, r.slice())
	}
	return events, !r.bad && len(r.b) == 0
}

// A manifest is the list of segments besides the one that it stands in.
type manifest struct {
	nextRun uint64
	segs    []closed
}

// closed is a segment that is no more written to.
type closed struct {
	seg uint32
	end int64 // of its stream
}

func appendManifest(b []byte, m *manifest) []byte {
	b = binary.AppendUvarint(b, m.nextRun)
	b = binary.AppendUvarint(b, uint64(len(m.segs)))
	for _, c := range m.segs {
		b = binary.AppendUvarint(b, uint64(c.seg))
		b = binary.AppendUvarint(b, uint64(c.end))
	}
	return b
}

func readManifest(body []byte) (m manifest, ok bool) {
	r := reader{b: body}
	m.nextRun = r.uvarint()
	for range r.uvarint() {
		if r.bad {
			break
		}
		m.segs = append(m.segs, closed{seg: uint32(r.uvarint()), end: int64(r.uvarint())})
	}
	return m, !r.bad && len(r.b) == 0
}
