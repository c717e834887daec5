package saga_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/mainstay-go/mainstay/saga"
)

// A flowchart for a README, where GitHub draws it.
func ExampleSaga_Mermaid() {
	fmt.Print(checkout.Mermaid())
	// Output:
	// flowchart TD
	//   n0["reserve (undo)"]
	//   n1["charge (undo)"]
	//   n0 --> n1
	//   n2{{"ship (pivot)"}}
	//   n1 --> n2
	//   n3["mail"]
	//   n2 --> n3
}

// The same for Graphviz.
func ExampleSaga_DOT() {
	fmt.Print(checkout.DOT())
	// Output:
	// digraph "checkout" {
	//   n0 [shape=box, label="reserve (undo)"];
	//   n1 [shape=box, label="charge (undo)"];
	//   n0 -> n1;
	//   n2 [shape=hexagon, label="ship (pivot)"];
	//   n1 -> n2;
	//   n3 [shape=box, label="mail"];
	//   n2 -> n3;
	// }
}

// A plan is for one's own drawings and checks: here, that what comes before the
// pivot can be undone.
func ExampleSaga_Plan() {
	var show func(indent string, steps []saga.StepPlan)
	show = func(indent string, steps []saga.StepPlan) {
		for _, s := range steps {
			fmt.Println(indent+s.Name, s.Kind, "undo:", s.Undo, "pivot:", s.Pivot)
			if s.Kind == saga.KindParallel {
				fmt.Println(indent + "at the same time:")
			}
			show(indent+"  ", s.Children)
		}
	}
	show("", saga.MustNew("trip", []saga.Step[Trip]{
		{Name: "book", Parallel: []saga.Step[Trip]{
			{Name: "flight", Do: quietly, Undo: quietly, Merge: saga.NoMerge[Trip]},
			{Name: "hotel", Do: quietly, Undo: quietly, Merge: saga.NoMerge[Trip]},
		}},
		{Name: "pay", Do: quietly, Pivot: true},
	}).Plan())
	// Output:
	// book parallel undo: false pivot: false
	// at the same time:
	//   flight do undo: true pivot: false
	//   hotel do undo: true pivot: false
	// pay do undo: false pivot: true
}

func quietly(context.Context, *Trip) error { return nil }

// Each Kind stands for one way to make a step.
func ExampleKind() {
	for _, k := range []saga.Kind{saga.KindDo, saga.KindParallel, saga.KindSub, saga.KindForEach, saga.KindSleep, saga.KindAwait} {
		fmt.Print(k, " ")
	}
	// Output: do parallel sub foreach sleep await
}

// A fingerprint in a test tells that a change of the definition concerns runs that
// have begun. Policies and functions are not in it.
func ExampleSaga_Fingerprint() {
	steps := []saga.Step[Trip]{{Name: "flight", Do: quietly, Undo: quietly}, {Name: "hotel", Do: quietly, Undo: quietly}}
	was := saga.MustNew("trip", steps).Fingerprint()

	steps[0].Retry.Attempts = 7
	fmt.Println(saga.MustNew("trip", steps).Fingerprint() == was)

	steps[0].Undo = nil
	fmt.Println(saga.MustNew("trip", steps).Fingerprint() == was)
	// Output:
	// true
	// false
}

// Lint is for a test: it tells what is allowed and is seldom meant.
func ExampleSaga_Lint() {
	type Trip struct {
		Flight string
		hotel  string
	}
	def := saga.MustNew("trip", []saga.Step[Trip]{
		{Name: "book", Do: func(_ context.Context, t *Trip) error { t.hotel = "Astoria"; return nil }},
	})
	fmt.Println(strings.Join(def.Lint(), "\n"))
	// Output:
	// "book" has no Undo and is not ReadOnly: if the run goes back, what it did stays
	// S.hotel is unexported, so encoding/json loses it: the engine would forget it
}

// A strictCodec is encoding/json that refuses what it does not know, so that the
// engine tells of a state that a newer program has written.
type strictCodec struct{}

func (strictCodec) Marshal(v any) ([]byte, error) { return json.Marshal(v) }

func (strictCodec) Unmarshal(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// A Codec is how the engine of package durable keeps the state; here is also where
// to encrypt it. In memory there is nothing to encode.
func ExampleCodec() {
	var codec saga.Codec = strictCodec{}
	def := saga.MustNewWith(saga.Spec[Trip]{
		Name: "trip", Codec: codec,
		Steps: []saga.Step[Trip]{{Name: "flight", Do: quietly, Undo: quietly}},
	})
	data, err := codec.Marshal(Trip{Flight: "LH 400"})
	fmt.Println(def.Name(), string(data), err)
	fmt.Println(codec.Unmarshal([]byte(`{"Train":"ICE 1"}`), new(Trip)))
	// Output:
	// trip {"Flight":"LH 400","Hotel":""} <nil>
	// json: unknown field "Train"
}
