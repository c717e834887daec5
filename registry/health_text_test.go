package registry_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// What was marshaled can be read back, "none" too; what is no name is an error, and
// leaves the value alone.
func TestHealth_Text(t *testing.T) {
	for i := range 256 {
		v, got := registry.Health(i), registry.Health(99)
		text, err := v.MarshalText()
		require.NoError(t, err)
		require.Equal(t, v.String(), string(text))
		err = got.UnmarshalText(text)
		if v > registry.Down {
			require.EqualError(t, err, fmt.Sprintf("registry: %s is no Health", strconv.Quote(string(text))))
			require.EqualValues(t, 99, got)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, v, got)
	}
	for _, text := range []string{"", " passing", "Passing", strings.Repeat("x", 1000)} {
		got := registry.Health(99)
		err := got.UnmarshalText([]byte(text))
		require.ErrorContains(t, err, "registry: ")
		require.Less(t, len(err.Error()), 140)
		require.EqualValues(t, 99, got)
	}
	text, err := json.Marshal(map[registry.Health]registry.Health{registry.Warning: registry.Down})
	require.NoError(t, err)
	assert.JSONEq(t, `{"warning":"down"}`, string(text))
	var back map[registry.Health]registry.Health
	require.NoError(t, json.Unmarshal(text, &back))
	assert.Equal(t, map[registry.Health]registry.Health{registry.Warning: registry.Down}, back)
}
