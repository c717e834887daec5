package examples

import (
	"go/format"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const migration = "../.github/MIGRATION.md"

var fenced = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")

// Each block of Go in MIGRATION.md is, word for word, in a test of the directory
// migration, or in one of the benchmarks, which have gobreaker. There it is compiled.
func TestMIGRATION(t *testing.T) {
	source := readAll(t, "migration/*_test.go") + readAll(t, "benchmarks/migration*_test.go")
	blocks := fenced.FindAllStringSubmatch(read(t, migration), -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		assert.Equal(t, "go", block[1], "%s", block[2])
		code := block[2]
		for paragraph := range strings.SplitSeq(strings.TrimSuffix(code, "\n"), "\n\n") {
			assert.True(t, compiled(source, paragraph+"\n"), "compiled nowhere:\n%s", paragraph)
		}
		formatted, err := format.Source([]byte(code))
		assert.NoError(t, err, "%s", code)
		assert.Equal(t, string(formatted), code, "as gofmt has it")
	}
}

// Each test that MIGRATION.md names is one, each link leads somewhere, and the
// version of gobreaker is that which is run.
func TestMIGRATION_says(t *testing.T) {
	page := fenced.ReplaceAllString(read(t, migration), "")
	source := readAll(t, "migration/*_test.go") + readAll(t, "benchmarks/*_test.go")
	named := regexp.MustCompile("`(Test[^`]*)`").FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, named)
	for _, match := range named {
		assert.Contains(t, source, "\nfunc "+match[1]+"(", "%s", match[1])
	}
	for _, match := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllStringSubmatch(page, -1) {
		_, err := os.Stat(filepath.Join(filepath.Dir(migration), match[1]))
		assert.NoError(t, err)
	}
	for _, version := range regexp.MustCompile(`v\d+\.\d+\.\d+`).FindAllString(page, -1) {
		assert.Contains(t, read(t, "benchmarks/go.mod"), "github.com/sony/gobreaker/v2 "+version+"\n")
	}
}

// Each test that shows something of a move is named by the page.
func TestMIGRATION_namesAll(t *testing.T) {
	page := read(t, migration)
	source := readAll(t, "migration/*_test.go") + readAll(t, "benchmarks/migration*_test.go")
	tests := regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(source, -1)
	require.NotEmpty(t, tests)
	for _, test := range tests {
		assert.Contains(t, page, "`"+test[1]+"`")
	}
}

// readAll is what all files of a pattern hold.
func readAll(t *testing.T, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	require.NoError(t, err)
	require.NotEmpty(t, files, pattern)
	var all strings.Builder
	for _, file := range files {
		all.WriteString(read(t, file))
	}
	return all.String()
}
