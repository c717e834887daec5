package page

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

// The steps of a group are a column; two groups side by side are two.
func TestNewRuns_columns(t *testing.T) {
	for name, tt := range map[string]struct {
		groups []string // of the steps a, b, ...
		want   []string
	}{
		"none":              {nil, nil},
		"one after another": {[]string{"", "", ""}, []string{"a", "b", "c"}},
		"a group":           {[]string{"", "g", "g", ""}, []string{"a", "bc", "d"}},
		"only a group":      {[]string{"g", "g"}, []string{"ab"}},
		"two groups":        {[]string{"g", "g", "h", "h"}, []string{"ab", "cd"}},
		"the same again":    {[]string{"g", "", "g"}, []string{"a", "b", "c"}},
	} {
		t.Run(name, func(t *testing.T) {
			var r Run
			for i, g := range tt.groups {
				r.Steps = append(r.Steps, Step{Name: string(rune('a' + i)), Group: g})
			}
			var got []string
			for _, c := range newRuns([]Run{r})[0].Columns {
				names := ""
				for _, s := range c.Steps {
					names += s.Name
				}
				got = append(got, names)
			}
			assert.Equal(t, tt.want, got)
		})
	}
}
