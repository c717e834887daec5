package saga

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// A Codec encodes states and signals. It must be deterministic and safe for
// concurrent use. It is the place to encrypt.
type Codec interface {
	Marshal(v any) ([]byte, error)
	Unmarshal(data []byte, v any) error
}

type jsonCodec struct{}

func (jsonCodec) Marshal(v any) ([]byte, error)      { return json.Marshal(v) }
func (jsonCodec) Unmarshal(data []byte, v any) error { return json.Unmarshal(data, v) }

// A contained codec is one of the user's whose panics are errors, since it is called on
// goroutines of ours, too, and by every process that reads a journal. What it encodes is
// never nil.
type contained struct{ Codec }

func (c contained) Marshal(v any) (data []byte, err error) {
	safely(func() { data, err = c.Codec.Marshal(v) }, func(p *PanicError) {
		if p != nil {
			err = p
		}
	})
	if data == nil && err == nil {
		data = []byte{}
	}
	return data, err
}

func (c contained) Unmarshal(data []byte, v any) (err error) {
	safely(func() { err = c.Codec.Unmarshal(data, v) }, func(p *PanicError) {
		if p != nil {
			err = p
		}
	})
	return err
}

// Name, Fingerprint and MaxRunning are those of the saga.
func (p *program) Name() string        { return p.name }
func (p *program) Fingerprint() string { return p.print }
func (p *program) MaxRunning() int     { return p.maxRunning }

// Encode encodes a state.
func (p *program) Encode(state any) ([]byte, error) { return p.codec.Marshal(state) }

// Decode makes a state.
func (p *program) Decode(data []byte) (any, error) {
	state := p.fresh()
	if err := p.codec.Unmarshal(data, state); err != nil {
		return nil, err
	}
	return state, nil
}

// Encodable finds out whether the codec can do that, here and in sagas within.
func (p *program) Encodable() error {
	data, err := p.Encode(p.fresh())
	if err == nil {
		_, err = p.Decode(data)
	}
	if err != nil {
		return fmt.Errorf("saga: the codec of %s refuses its zero state: %w", quoted(p.name), err)
	}
	return encodable(p.nodes)
}

func encodable(nodes []node) error {
	var errs []error
	for i := range nodes {
		errs = append(errs, encodable(nodes[i].children))
		if s := nodes[i].special; s != nil && s.sub != nil {
			errs = append(errs, s.sub.Encodable())
		}
	}
	return errors.Join(errs...)
}

// EncodeSignal encodes a signal for the Await step of a path, and tells the path by
// present names.
func (p *program) EncodeSignal(path string, v any) (present string, data []byte, err error) {
	names := strings.Split(path, "/")
	n, codec := p.awaiting(names)
	if n == nil {
		return "", nil, nil
	}
	present = strings.Join(names, "/")
	if want := reflect.TypeOf(n.special.signal()).Elem(); reflect.TypeOf(v) != want {
		return present, nil, fmt.Errorf("saga: the signal of %s is a %T, want a %v", quoted(path), v, want)
	}
	data, err = codec.Marshal(v)
	return present, data, err
}

// Present is the path of an Await step by present names.
func (p *program) Present(path string) string {
	names := strings.Split(path, "/")
	if n, _ := p.awaiting(names); n == nil {
		return ""
	}
	return strings.Join(names, "/")
}

// awaiting finds an Await step, and makes the names those of now.
func (p *program) awaiting(names []string) (*node, Codec) {
	nodes := p.nodes
	for {
		var n *node
		for i := range nodes {
			if nodes[i].isCalled(names[0]) {
				n = &nodes[i]
			}
		}
		if n == nil {
			return nil, nil
		}
		names[0] = n.name
		names = names[1:]
		switch {
		case len(names) == 0:
			if n.kind != KindAwait {
				return nil, nil
			}
			return n, p.codec
		case n.kind == KindParallel:
			nodes = n.children
		case n.kind == KindForEach && len(names) > 1:
			if k, err := strconv.Atoi(names[0]); err != nil || k < 0 || strconv.Itoa(k) != names[0] {
				return nil, nil
			}
			return n.special.sub.awaiting(names[1:])
		case n.kind == KindSub:
			return n.special.sub.awaiting(names)
		default:
			return nil, nil
		}
	}
}
