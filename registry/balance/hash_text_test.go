package balance_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// What was marshaled can be read back, as by a configuration file; what is no name is an error, and
// leaves the value alone.
func TestHashKind_Text(t *testing.T) {
	for i := range 256 {
		v, got := balance.HashKind(i), balance.HashKind(99)
		text, err := v.MarshalText()
		require.NoError(t, err)
		require.Equal(t, v.String(), string(text))
		err = got.UnmarshalText(text)
		if v > balance.Rendezvous {
			require.EqualError(t, err, fmt.Sprintf("balance: %s is no HashKind", strconv.Quote(string(text))))
			require.EqualValues(t, 99, got)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	for _, text := range []string{"", " Maglev", "maglev", strings.Repeat("x", 1000)} {
		got := balance.HashKind(99)
		err := got.UnmarshalText([]byte(text))
		require.ErrorContains(t, err, "balance: ")
		require.Less(t, len(err.Error()), 140)
		require.EqualValues(t, 99, got)
	}
	text, err := json.Marshal(map[balance.HashKind]balance.HashKind{balance.Maglev: balance.Rendezvous})
	require.NoError(t, err)
	assert.JSONEq(t, `{"Maglev":"Rendezvous"}`, string(text))
	var back map[balance.HashKind]balance.HashKind
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, map[balance.HashKind]balance.HashKind{balance.Maglev: balance.Rendezvous}, back)
}
