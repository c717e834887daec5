package orderfile_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/internal/orderfile"
)

func TestRead(t *testing.T) {
	orders, err := orderfile.Read("f", strings.NewReader("\r\n  \n"+
		`{"id":"a","customer":"ann","item":"lamp","quantity":1000000000,"cents":1}`+"\r\n"+
		` { "cents" : 2, "quantity" : 3, "item" : "desk", "customer" : "bob", "id" : "b" } `))
	require.NoError(t, err)
	assert.Equal(t, []orderfile.Order{
		{ID: "a", Customer: "ann", Item: "lamp", Quantity: 1e9, Cents: 1},
		{ID: "b", Customer: "bob", Item: "desk", Quantity: 3, Cents: 2},
	}, orders)
}

func TestRead_bad(t *testing.T) {
	const good = `{"id":"a","customer":"ann","item":"lamp","quantity":1,"cents":1}`
	without := func(old, with string) string {
		require.Contains(t, good, old)
		return strings.Replace(good, old, with, 1)
	}
	for _, tc := range []struct {
		name, text, want string
	}{
		{"nothing", "", "f: there is no order"},
		{"only white space", " \n\t\n", "f: there is no order"},
		{"no JSON", good + "\n\nlamp", `f:3: the line is "lamp", want a JSON object`},
		{"half an object", `{"id":`, `f:1: the line is "{\"id\":", want a JSON object`},
		{"an array", "[1]", "f:1: the line is [1], want a JSON object"},
		{"null", "null", "f:1: the line is null, want a JSON object"},
		{"two on a line", good + good, `f:1: the line is "{\"id\":\"a\",\"customer\":\"ann\",\"item\":\"lamp\""..., want a JSON object`},
		{"no id", without(`"id":"a",`, ""), "f:1: id is missing, want 1 to 128 bytes of text"},
		{"empty id", without(`"a"`, `""`), `f:1: id is "", want 1 to 128 bytes of text`},
		{"null for an id", without(`"a"`, `null`), "f:1: id is null, want 1 to 128 bytes of text"},
		{"long id", without(`"a"`, `"`+strings.Repeat("a", 129)+`"`), `f:1: id is "\"aaaaaaaaa`},
		{"a number for an id", without(`"a"`, "7"), "f:1: id is 7, want 1 to 128 bytes of text"},
		{"id used", good + "\n" + good, `f:2: id is "a", want another one than in line 1`},
		{"no customer", without(`"ann"`, `""`), `f:1: customer is "", want 1 to 128 bytes of text`},
		{"long customer", without(`"ann"`, `"`+strings.Repeat("a", 129)+`"`), `f:1: customer is "\"aaaaaaaaa`},
		{"no item", without(`"lamp"`, "{}"), "f:1: item is {}, want 1 to 128 bytes of text"},
		{"long item", without(`"lamp"`, `"`+strings.Repeat("a", 129)+`"`), `f:1: item is "\"aaaaaaaaa`},
		{"quantity 0", without(`"quantity":1`, `"quantity":0`), "f:1: quantity is 0, want 1 to 1000000000"},
		{"half a lamp", without(`"quantity":1`, `"quantity":0.5`), "f:1: quantity is 0.5, want 1 to 1000000000"},
		{"too many", without(`"quantity":1`, `"quantity":1000000001`), "f:1: quantity is 1000000001, want 1 to 1000000000"},
		{"no integer at all", without(`"quantity":1`, `"quantity":1e400`), "f:1: quantity is 1e400, want 1 to 1000000000"},
		{"text for a number", without(`"cents":1`, `"cents":"1"`), `f:1: cents is "1", want 1 to 1000000000`},
		{"cents negative", without(`"cents":1`, `"cents":-1`), "f:1: cents is -1, want 1 to 1000000000"},
		{"another field", without(`"cents":1`, `"cents":1,"Cents":2`), `f:1: "Cents" is 2, want no such field`},
		{
			"everything", "\n" + `{"quantity":-1,"b":[],"a":1}`,
			"f:2: id is missing, want 1 to 128 bytes of text\nf:2: customer is missing, want 1 to 128 bytes of text\nf:2: item is missing, want 1 to 128 bytes of text\n" +
				"f:2: quantity is -1, want 1 to 1000000000\nf:2: cents is missing, want 1 to 1000000000\n" +
				"f:2: \"a\" is 1, want no such field\nf:2: \"b\" is [], want no such field",
		},
		{"long line", good + "\n" + strings.Repeat(" ", 64<<10+1), "f:2: the line is longer than 65536 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			orders, err := orderfile.Read("f", strings.NewReader(tc.text))
			require.Error(t, err)
			assert.Empty(t, orders)
			if strings.HasSuffix(tc.want, "aaa") {
				assert.Contains(t, err.Error(), tc.want)
				return
			}
			assert.Equal(t, tc.want, err.Error())
		})
	}
}

func TestRead_cannotRead(t *testing.T) {
	torn := errors.New("torn")
	_, err := orderfile.Read("f", iotest.ErrReader(torn))
	require.ErrorIs(t, err, torn)
	assert.Equal(t, "f:1: torn", err.Error())
}

func TestLoad(t *testing.T) {
	const line = `{"id":"a","customer":"ann","item":"lamp","quantity":1,"cents":1}`
	want := []orderfile.Order{{ID: "a", Customer: "ann", Item: "lamp", Quantity: 1, Cents: 1}}
	name := filepath.Join(t.TempDir(), "f.jsonl")
	require.NoError(t, os.WriteFile(name, []byte(line), 0o600))
	for _, tc := range []struct{ name, in, shipped string }{
		{"", "", line},
		{"-", line, ""},
		{name, "", ""},
	} {
		got, err := orderfile.Load(tc.name, strings.NewReader(tc.in), []byte(tc.shipped))
		require.NoError(t, err)
		assert.Equal(t, want, got)
	}
	_, err := orderfile.Load(name+"x", nil, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = orderfile.Load("-", strings.NewReader("?"), nil)
	require.ErrorContains(t, err, "stdin:1: ")
	_, err = orderfile.Load("", nil, []byte("?"))
	assert.ErrorContains(t, err, "orders.jsonl:1: ")
}
