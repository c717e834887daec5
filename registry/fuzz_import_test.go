package registry_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// FuzzImport: whatever a document holds, it is taken or refused without a panic;
// errors are short and name the operation; what was taken is valid, and comes back
// as it is from an Export.
func FuzzImport(f *testing.F) {
	for _, doc := range []string{
		"", "{", "null", document(), document(goodRecord), document(goodRecord, goodRecord), document("5", goodRecord, "null"),
		document(`{"service":"orders","addr":"[::1]:80","weight":-1,"tags":["b","a","a"],"meta":{"":"","k":"\u2028"},"health":"draining"}`),
		document(`{"service":"orders","id":"a","addr":"10.0.0.1:80","weight":NaN}`),
		document(`{"service":{"service":[]},"id":5,"addr":null,"weight":1e400,"tags":{},"meta":[],"health":7}`),
		document(`{"SERVICE":"orders","Id":"a","aDDr":"a:1","weight":0,"health":"down","health":"passing"}`),
		document(`{"service":"orders","id":"\ud800","addr":"a:1","scheme":"h2","serverName":"::1","version":"\u0000","zone":"z","weight":1000001,"health":"stale"}`),
		document(strings.Repeat("[", 200)), document(goodRecord) + "}", strings.ReplaceAll(document(goodRecord), "1", "2"),
	} {
		f.Add(doc)
	}
	f.Fuzz(func(t *testing.T, doc string) {
		r := registry.MustNew(registry.Config{Limits: registry.Limits{Services: 3, Instances: 5, MetaBytes: 200}})
		n, err := imports(r, doc)
		require.Equal(t, n, r.Stats().Instances)
		refused := errorsOf(err)
		for _, one := range refused {
			var e *registry.Error
			require.ErrorAs(t, one, &e)
			require.Equal(t, registry.OpImport, e.Op)
			require.Less(t, len(one.Error()), 1000)
		}
		for name := range r.Services() {
			for e := range r.Service(name).Snapshot().All() {
				require.Equal(t, "import", e.Origin())
				in := e.Instance()
				_, err := registry.MustNew(registry.Config{}).Register(bg, in)
				require.NoError(t, err, "what was taken is valid")
			}
		}
		out := exported(t, r)
		to := registry.MustNew(registry.Config{})
		again, err := imports(to, out)
		require.NoError(t, err)
		assert.Equal(t, n, again)
		var back bytes.Buffer
		require.NoError(t, to.Export(&back))
		assert.Equal(t, out, back.String())
		for name := range r.Services() {
			for e := range r.Service(name).Snapshot().All() {
				same, ok := to.Service(name).Get(e.ID())
				require.True(t, ok)
				assert.Equal(t, e.Instance(), same.Instance())
				assert.Equal(t, e.Health(), same.Health())
			}
		}
		twice, err := imports(r, doc)
		assert.LessOrEqual(t, twice, n)
		assert.Len(t, errorsOf(err), len(refused)+n-twice, "the same records are refused again")
	})
}

// errorsOf are the errors that are joined in one.
func errorsOf(err error) []error {
	if err == nil {
		return nil
	}
	var joined interface{ Unwrap() []error }
	if errors.As(err, &joined) {
		return joined.Unwrap()
	}
	return []error{err}
}
