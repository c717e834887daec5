package durable

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// Events are written by hand as encoding/json would write them: in releases that did they
// were.
func FuzzEncode(f *testing.F) {
	f.Add("done", "charge", "", "", int64(0), int64(0), 1, uint8(1), uint8(0), []byte(`{"Total":7}`), []byte(nil), 0)
	f.Add("failed", "in/a <b>", "sub", "bank: \"no\"\n\x00\xff\u2028é", int64(1), int64(-62135596800), -3, uint8(2), uint8(7), []byte{}, []byte{1, 2, 3}, 2)
	f.Add("", "\\", "&", "~\x7f", int64(253402300800), int64(1)<<40, 1<<30, uint8(255), uint8(31), []byte(nil), []byte{}, 3)
	f.Fuzz(func(t *testing.T, kind, step, of, text string, at, wake int64, attempt int, small, flags uint8, data, item []byte, items int) {
		e := core.Event{
			Kind: core.Kind(kind), Step: step, Of: of, At: time.Unix(at, at).In(time.FixedZone("", attempt%86400)), Wake: time.Unix(wake, 0).UTC(),
			Attempt: attempt, Outcome: small, Tainted: flags&1 > 0, Pivot: flags&2 > 0, Final: flags&4 > 0, Status: small / 2, Reason: small / 3,
			Verb: of, Err: text, By: step, Why: text, Data: data, Begins: flags&8 > 0,
		}
		for range min(items, 5) {
			e.Items = append(e.Items, item)
		}
		want, err := json.Marshal(&e)
		got, failed := encodeAll([]core.Event{e, e})
		require.Equal(t, err == nil, failed == nil, "%v, %v", err, failed)
		if err == nil {
			require.Len(t, got, 2)
			assert.Equal(t, string(want), string(got[0]))
			assert.Equal(t, string(want), string(got[1]))
			assert.Len(t, got[0], cap(got[0]), "what is appended to one is not in the other")
		}
	})
}
