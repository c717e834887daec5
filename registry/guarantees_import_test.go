package registry_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A bad record is refused alone, and named with service, ID and field.
func TestG42_BadRecordAlone(t *testing.T) {
	for name, c := range map[string]struct{ record, field, says string }{
		"no address":             {`{"service":"orders","id":"bad","weight":1,"health":"passing"}`, "Addr", `"orders" "bad"`},
		"named by address":       {`{"service":"orders","addr":"10.0.0.1","weight":1,"health":"passing"}`, "Addr", `"orders" "10.0.0.1"`},
		"no service":             {`{"id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing"}`, "Service", `"bad"`},
		"no health":              {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1}`, "Health", `"orders" "bad"`},
		"odd health":             {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"fine"}`, "Health", `"fine"`},
		"odd health, by address": {`{"service":"orders","addr":"10.0.0.1:80","weight":1,"health":"fine"}`, "Health", `"orders" "10.0.0.1:80"`},
		"health none":            {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"none"}`, "Health", `"none"`},
		"stale":                  {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"stale"}`, "Health", `"orders" "bad"`},
		"heavy":                  {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1000001,"health":"passing"}`, "Weight", `"orders" "bad"`},
		"control":                {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","zone":"\u0000","weight":1,"health":"passing"}`, "Zone", `"orders" "bad"`},
		"twice":                  {strings.ReplaceAll(goodRecord, "10.0.0.1", "10.0.0.2"), "ID", `"orders" "good"`},
		"large": {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing","meta":{"k":"` +
			strings.Repeat("x", 1<<20) + `"}}`, "Limits.MetaBytes", `"orders" "bad"`},
		"1 MiB service":    {`{"service":"` + strings.Repeat("s", 1<<20) + `","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing"}`, "Service", `(1048576 bytes)`},
		"1 MiB ID":         {`{"service":"orders","id":"` + strings.Repeat("s", 1<<20) + `","addr":"10.0.0.1:80","weight":1,"health":"passing"}`, "ID", `(1048576 bytes)`},
		"1 MiB address":    {`{"service":"orders","id":"bad","addr":"` + strings.Repeat("s", 1<<20) + `:80","weight":1,"health":"passing"}`, "Addr", `(1048579 bytes)`},
		"1 MiB health":     {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"` + strings.Repeat("s", 1<<20) + `"}`, "Health", `(1048576 bytes)`},
		"weight is text":   {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":"heavy","health":"passing"}`, "", `"orders" "bad"`},
		"weight is 1.5":    {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1.5,"health":"passing"}`, "", `"orders" "bad"`},
		"weight is huge":   {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1e99,"health":"passing"}`, "", `"orders" "bad"`},
		"tags are a text":  {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing","tags":"a"}`, "", `"orders" "bad"`},
		"meta is a list":   {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing","meta":[]}`, "", `"orders" "bad"`},
		"meta is deep":     {`{"service":"orders","id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing","meta":{"k":{"k":{}}}}`, "", `"orders" "bad"`},
		"service is a map": {`{"service":{},"id":"bad","addr":"10.0.0.1:80","weight":1,"health":"passing"}`, "", `"bad"`},
		"a number":         {`5`, "", "number"},
		"a text":           {`"orders"`, "", "string"},
		"a list":           {`[[[]]]`, "", "array"},
		"null":             {`null`, "Health", ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			last := strings.ReplaceAll(goodRecord, "good", "last")
			n, err := imports(r, document(goodRecord, c.record, last))
			assert.Equal(t, 2, n)
			assert.Equal(t, []string{"good import", "last import"}, origins(r))
			assert.Contains(t, fields(err), c.field)
			require.ErrorContains(t, err, c.says)
			assert.Less(t, len(err.Error()), 1000, "whatever is in the record")
			var e *registry.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, registry.OpImport, e.Op)
		})
	}
}

// What is no document at all, or of another version, is refused as a whole.
func TestG42_NoDocument(t *testing.T) {
	for name, doc := range map[string]string{
		"empty":           "",
		"null":            "null",
		"a list":          "[]",
		"other":           `{"instances":[` + goodRecord + `]}`,
		"no version":      `{"version":null,"instances":[` + goodRecord + `]}`,
		"version 0":       `{"version":0,"instances":[` + goodRecord + `]}`,
		"version 2":       `{"version":2,"instances":[` + goodRecord + `]}`,
		"text version":    `{"version":"1","instances":[` + goodRecord + `]}`,
		"other order":     `{"instances":[` + goodRecord + `],"version":1}`,
		"instances twice": `{"version":1,"version":1,"instances":[` + goodRecord + `]}`,
		"no list":         `{"version":1,"instances":{"a":` + goodRecord + `}}`,
		"deep":            strings.Repeat("[", 1<<20),
		"deep version":    `{"version":` + strings.Repeat("[", 1<<20),
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			n, err := imports(r, doc)
			require.Error(t, err)
			assert.Zero(t, n)
			assert.Empty(t, r.Stats().Instances)
			assert.Less(t, len(err.Error()), 500)
			var e *registry.Error
			require.ErrorAs(t, err, &e)
			assert.Equal(t, registry.OpImport, e.Op)
		})
	}
}

// Where the JSON breaks, what came before is taken, and the error tells where.
func TestG42_BrokenJSON(t *testing.T) {
	for name, broken := range map[string]string{
		"NaN":          `{"service":"orders","id":"b","addr":"10.0.0.1:80","weight":NaN,"health":"passing"}`,
		"Infinity":     `{"service":"orders","id":"b","addr":"10.0.0.1:80","weight":Infinity,"health":"passing"}`,
		"no quote":     `{"service":"orders`,
		"no brace":     `{"service":"orders"`,
		"comma":        `,`,
		"deep":         strings.Repeat("[", 1<<20),
		"deep objects": strings.Repeat(`{"a":`, 1<<20),
		"bytes":        "\x00\xff",
	} {
		t.Run(name, func(t *testing.T) {
			r := newRegistry(t, registry.Config{})
			n, err := imports(r, document(goodRecord, broken, strings.ReplaceAll(goodRecord, "good", "last")))
			require.ErrorContains(t, err, "bytes: ")
			assert.Equal(t, 1, n)
			assert.Equal(t, []string{"good import"}, origins(r))
			assert.Less(t, len(err.Error()), 500)
		})
	}
}

// Of a document that is cut off, every whole record is taken, and the cut is told.
func TestG42_Truncated(t *testing.T) {
	doc := document(goodRecord, strings.ReplaceAll(goodRecord, "good", "last"))
	for cut := range len(doc) {
		r := registry.MustNew(registry.Config{})
		n, err := imports(r, doc[:cut])
		require.ErrorContains(t, err, "EOF", "cut at %d", cut)
		require.Equal(t, strings.Count(doc[:cut], `"passing"}`), n, "cut at %d", cut)
		require.Equal(t, n, r.Stats().Instances)
	}
}

// Of fields that are twice in a record the last one counts, unknown ones are left
// out, and so is what follows the document.
func TestG42_Lenient(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	n, err := imports(r, document(`{"service":"x","service":"orders","id":"a","addr":"10.0.0.1:80","weight":1,"health":"down","health":"passing","ttl":5,"check":{"func":[]}}`)+" trailing")
	require.NoError(t, err)
	assert.Equal(t, 1, n)
	assert.Equal(t, []string{"a import"}, origins(r))
}

// Limits bound what is taken; what is too much is refused by name.
func TestG42_Limits(t *testing.T) {
	r := newRegistry(t, registry.Config{Limits: registry.Limits{Services: 1, Instances: 3}})
	register(t, r, instance("local"))
	var recs []string
	for i := range 5 {
		recs = append(recs, strings.ReplaceAll(goodRecord, "good", fmt.Sprint(i)))
	}
	recs = append(recs, strings.ReplaceAll(goodRecord, "orders", "other"))
	n, err := imports(r, document(recs...))
	assert.Equal(t, 2, n)
	assert.Equal(t, []string{"Limits.Instances", "Limits.Instances", "Limits.Instances", "Limits.Services"}, sortedFields(err))
	assert.Equal(t, []string{"0 import", "1 import", "local"}, origins(r))
	assert.Equal(t, 1, r.Stats().Services)
}
