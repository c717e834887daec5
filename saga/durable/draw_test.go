package durable_test

import (
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga/durable"
)

// The names of steps are of any content: none may end its label.
func TestDrawingOfEventsQuotesNames(t *testing.T) {
	t.Parallel()
	rec := &durable.Record{Events: []durable.Event{{N: 1, Kind: "created"}, {N: 2, Kind: "started", Step: `a"];b\`}}}
	assert.Equal(t, "flowchart TD\n  e0[\"created \"]\n  e1[\"started a#34;#93;#59;b#92;\"]\n  e0 --> e1\n", rec.Mermaid())
	assert.Equal(t, "digraph run {\n  e0 [label=\"created \"];\n  e1 [label=\"started a\\\"];b\\\\\"];\n  e0 -> e1;\n}\n", rec.DOT())
}
