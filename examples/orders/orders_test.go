package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The orders that come with the program meet everything there is, whatever else is
// going on: with the usual seed some get over all, and every fate is some order's.
func TestLoadOrders_shipped(t *testing.T) {
	orders, err := loadOrders("", nil)
	require.NoError(t, err)
	require.Len(t, orders, 24)
	met := make(map[fate]int)
	for _, o := range orders {
		met[script{1}.fate(o.ID)]++
	}
	assert.GreaterOrEqual(t, met[fate{}], 8)
	for _, f := range fates {
		assert.Positive(t, met[f.fate], "%v", f.fate)
	}
}

func TestReadOrders(t *testing.T) {
	orders, err := readOrders("f", strings.NewReader("\r\n  \n"+
		`{"id":"a","customer":"ann","item":"lamp","quantity":1000000000,"cents":1}`+"\r\n"+
		` { "cents" : 2, "quantity" : 3, "item" : "desk", "customer" : "bob", "id" : "b" } `))
	require.NoError(t, err)
	assert.Equal(t, []Order{{"a", "ann", "lamp", 1e9, 1}, {"b", "bob", "desk", 3, 2}}, orders)
}

func TestReadOrders_bad(t *testing.T) {
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
		{"no customer", without(`"ann"`, `""`), `f:1: customer is "", want a name`},
		{"no item", without(`"lamp"`, "{}"), "f:1: item is {}, want a name"},
		{"quantity 0", without(`"quantity":1`, `"quantity":0`), "f:1: quantity is 0, want 1 to 1000000000"},
		{"half a lamp", without(`"quantity":1`, `"quantity":0.5`), "f:1: quantity is 0.5, want 1 to 1000000000"},
		{"too many", without(`"quantity":1`, `"quantity":1000000001`), "f:1: quantity is 1000000001, want 1 to 1000000000"},
		{"no integer at all", without(`"quantity":1`, `"quantity":1e400`), "f:1: quantity is 1e400, want 1 to 1000000000"},
		{"text for a number", without(`"cents":1`, `"cents":"1"`), `f:1: cents is "1", want 1 to 1000000000`},
		{"cents negative", without(`"cents":1`, `"cents":-1`), "f:1: cents is -1, want 1 to 1000000000"},
		{"another field", without(`"cents":1`, `"cents":1,"Cents":2`), `f:1: "Cents" is 2, want no such field`},
		{
			"everything", "\n" + `{"quantity":-1,"b":[],"a":1}`,
			"f:2: id is missing, want 1 to 128 bytes of text\nf:2: customer is missing, want a name\nf:2: item is missing, want a name\n" +
				"f:2: quantity is -1, want 1 to 1000000000\nf:2: cents is missing, want 1 to 1000000000\n" +
				"f:2: \"a\" is 1, want no such field\nf:2: \"b\" is [], want no such field",
		},
		{"long line", good + "\n" + strings.Repeat(" ", maxLine+1), "f:2: the line is longer than 65536 bytes"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			orders, err := readOrders("f", strings.NewReader(tc.text))
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

func TestReadOrders_cannotRead(t *testing.T) {
	torn := errors.New("torn")
	_, err := readOrders("f", iotest.ErrReader(torn))
	require.ErrorIs(t, err, torn)
	assert.Equal(t, "f:1: torn", err.Error())
}

// Every amount is of an account that the order opens, and nothing is made of nothing.
func TestOrder_transfer(t *testing.T) {
	o := Order{"a", "ann", "lamp", 3, 700}
	balances := opening([]Order{o, o})
	assert.Equal(t, map[account]int64{
		{"stock of lamp", "shelf"}: 6, {"money", "customer ann"}: 1400,
		{"labels", "blank"}: 2, {"invoices", "blank"}: 2, {"mails", "blank"}: 2,
	}, balances)
	var all []string
	for _, r := range resources {
		tr := o.transfer(r)
		assert.Equal(t, tr.from.what, tr.to.what)
		all = append(all, fmt.Sprintf("%d %s: %s to %s", tr.amount, tr.from.what, tr.from.whose, tr.to.whose))
	}
	assert.Equal(t, []string{
		"3 stock of lamp: shelf to reserved", "700 money: customer ann to shop", "1 labels: blank to issued",
		"1 invoices: blank to issued", "3 stock of lamp: reserved to customers", "1 mails: blank to issued",
	}, all)
}
