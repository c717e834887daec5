package eventbus_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// What was marshaled can be read back, as by a configuration file; what is no name is an error, and
// leaves the value alone.
func TestOverflow_Text(t *testing.T) {
	for i := range 256 {
		v, got := eventbus.Overflow(i), eventbus.Overflow(99)
		text, err := v.MarshalText()
		require.NoError(t, err)
		require.Equal(t, v.String(), string(text))
		err = got.UnmarshalText(text)
		if v > eventbus.Unbounded {
			require.EqualError(t, err, fmt.Sprintf("eventbus: %s is no Overflow", strconv.Quote(string(text))))
			require.EqualValues(t, 99, got)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	for _, text := range []string{"", " Block", "block", strings.Repeat("x", 1000)} {
		got := eventbus.Overflow(99)
		err := got.UnmarshalText([]byte(text))
		require.ErrorContains(t, err, "eventbus: ")
		require.Less(t, len(err.Error()), 140)
		require.EqualValues(t, 99, got)
	}
	text, err := json.Marshal(map[eventbus.Overflow]eventbus.Overflow{eventbus.DropOldest: eventbus.Unbounded})
	require.NoError(t, err)
	assert.JSONEq(t, `{"DropOldest":"Unbounded"}`, string(text))
	var back map[eventbus.Overflow]eventbus.Overflow
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, map[eventbus.Overflow]eventbus.Overflow{eventbus.DropOldest: eventbus.Unbounded}, back)
}
