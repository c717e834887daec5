package registry

import "reflect"

// A Key names a typed value that instances carry, see [Instance].Attrs. Its
// identity is the pointer: two keys of one name are different.
type Key[T any] struct{ name string }

// NewKey makes a key. The name is for messages; it need not be unique. Keys
// usually stand in package-level variables.
func NewKey[T any](name string) *Key[T] { return &Key[T]{name} }

// Value is an attribute with value v. The registry copies it as an assignment
// would: what it points to is shared, and has to be safe for concurrent use.
func (k *Key[T]) Value(v T) Attr { return Attr{key: k, name: k.name, value: v} }

// Get returns the value that the instance of e has for k, if it has one.
func (k *Key[T]) Get(e *Endpoint) (T, bool) {
	for _, a := range e.in.Attrs {
		if a.key == any(k) {
			v, _ := a.value.(T) // of a nil interface value the assertion fails, and v is that
			return v, true
		}
	}
	var zero T
	return zero, false
}

// An Attr is a typed value of an instance, made by [Key.Value].
type Attr struct {
	key   any // a *Key[T]
	name  string
	value any // a T
}

// sameAttrs reports whether both have equal values in the same order. Values
// that cannot be compared are different.
func sameAttrs(a, b []Attr) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].key != b[i].key || !sameValue(a[i].value, b[i].value) {
			return false
		}
	}
	return true
}

func sameValue(a, b any) bool {
	if a == nil || b == nil {
		return a == b
	}
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
