//go:build !race

package modelcheck

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMutants plants faults in the registry, one at a time, and checks that the
// other tests of this package find each: else the model is too weak. The
// sources stay as they are; the go command is told to read a changed copy.
func TestMutants(t *testing.T) {
	var caught atomic.Int64
	all := mutants
	if deep() {
		all = slices.Concat(mutants, moreMutants)
	}
	t.Run("each", func(t *testing.T) {
		for _, m := range all {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				found := m.build(t).run(t, m.by, 10_000, 1_000_000)
				require.NotEmpty(t, found, "%s passes although %q is %q in %s", m.by, m.old, m.new, m.file)
				t.Logf("caught: %s", found)
				caught.Add(1)
			})
		}
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, mutant{}.build(t).run(t, "TestWalk|TestLinear", 100, 500))
		})
	})
	t.Logf("%d of %d seeded faults caught", caught.Load(), len(all))
}

// A mutant is a fault: one place in a file of the registry, changed.
type mutant struct {
	name, file, old, new string
	by                   string // the test that finds it
}

// A program is the test binary of this package, with a mutant in it.
type program struct{ path string }

func (m mutant) build(t *testing.T) program {
	t.Helper()
	dir := t.TempDir()
	p := program{filepath.Join(dir, "modelcheck.test")}
	args := []string{"test", "-c", "-vet=off", "-o", p.path}
	if m.file != "" {
		args = append(args, "-overlay", m.plant(t, dir))
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	require.NoError(t, err, "%s", out)
	return p
}

// plant writes the changed file, and what the go command wants to know of it.
func (m mutant) plant(t *testing.T, dir string) string {
	t.Helper()
	original, err := filepath.Abs(filepath.Join("..", "..", m.file))
	require.NoError(t, err)
	source, err := os.ReadFile(original)
	require.NoError(t, err)
	require.Equal(t, 1, strings.Count(string(source), m.old), "places with %q in %s: the mutant must keep in step", m.old, m.file)
	changed := filepath.Join(dir, m.file)
	require.NoError(t, os.WriteFile(changed, []byte(strings.Replace(string(source), m.old, m.new, 1)), 0o600))
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{original: changed}})
	require.NoError(t, err)
	path := filepath.Join(dir, "overlay.json")
	require.NoError(t, os.WriteFile(path, overlay, 0o600))
	return path
}

var complaint = regexp.MustCompile(`(?m)^panic: .*|^ *\w+_test\.go:\d+: no order.*|goes wrong at:\n.*\n`)

// run runs the named tests, and returns what they complain of. It is empty if
// they pass. They stop at what they find, which takes some hundred histories;
// where two goroutines have to meet within nanoseconds, many more.
func (p program) run(t *testing.T, tests string, walks, histories int) string {
	t.Helper()
	cmd := exec.Command(p.path, "-test.run", "^("+tests+")$", "-test.timeout", "5m",
		"-histories", strconv.Itoa(histories), "-walks", strconv.Itoa(walks), "-smallest=false")
	cmd.Dir = filepath.Dir(p.path)
	out, err := cmd.CombinedOutput()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		require.NoError(t, err)
	}
	if err == nil {
		return ""
	}
	require.Regexp(t, `(?m)^(--- FAIL|panic)`, string(out))
	return strings.TrimSpace(complaint.FindString(string(out)))
}
