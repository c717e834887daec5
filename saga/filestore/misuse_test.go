package filestore_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/durable"
	"github.com/mainstay-go/mainstay/saga/filestore"
)

// TestG50_zeroStore: a Store that Open has not made says so, and never that there is no
// such run.
func TestG50_zeroStore(t *testing.T) {
	for name, s := range map[string]*filestore.Store{"nil": nil, "zero": {}} {
		for _, ctx := range []context.Context{bg, nil} {
			_, _, load := s.Load(ctx, "a")
			_, _, claim := s.Claim(ctx, durable.ClaimRequest{Owner: "o", TTL: 1, Limit: 1})
			_, _, list := s.List(ctx, durable.Query{})
			_, watch := s.Watch(ctx)
			for verb, err := range map[string]error{
				"Create": s.Create(ctx, head("a"), 0, nil), "Append": s.Append(ctx, 1, head("a"), 0, nil),
				"Delete": s.Delete(ctx, "a", 1), "Load": load, "Claim": claim, "List": list, "Watch": watch,
				"Compact": s.Compact(ctx), "Close": s.Close(ctx),
			} {
				require.EqualError(t, err, "filestore: "+verb+": nil or zero Store, use Open", name)
			}
		}
		assert.PanicsWithError(t, "filestore: Stats: nil or zero Store, use Open", func() { s.Stats() }, name)
	}
}
