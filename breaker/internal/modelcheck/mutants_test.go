//go:build !race

package modelcheck

import (
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestMutants plants faults in the breaker, one at a time, and checks that the
// other tests of this package find each: else the model is too weak. The
// sources stay as they are; the go command is told to read a changed copy.
func TestMutants(t *testing.T) {
	var caught atomic.Int64
	t.Run("each", func(t *testing.T) {
		for _, m := range mutants {
			t.Run(m.name, func(t *testing.T) {
				t.Parallel()
				found, p := "", m.build(t)
				// The histories are random: what one run in a hundred misses, three find.
				for tries := 0; found == "" && tries < 3; tries++ {
					found = p.run(t, m.by, 50_000)
				}
				require.NotEmpty(t, found, "%s passes although %q is %q in %s", m.by, m.old, m.new, m.file)
				t.Logf("caught: %s", found)
				caught.Add(1)
			})
		}
		t.Run("none", func(t *testing.T) {
			t.Parallel()
			assert.Empty(t, mutant{}.build(t).run(t, "TestMachine|TestLinear|TestProbes|TestChaos", 1_000))
		})
	})
	t.Logf("%d of %d seeded faults caught", caught.Load(), len(mutants))
}

// A mutant is a fault: one place in a file of the breaker, changed.
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

var complaint = regexp.MustCompile(`(?m)^panic: .*|\[rapid\] (?:failed|panic) after .*|^ *\w+_test\.go:\d+: (?:no order|.*\n +Error Trace).*|Error: +\t.*`)

// run runs the named tests, and returns what they complain of. It is empty if
// they pass. They stop at what they find, which takes some hundred histories;
// where two goroutines have to meet within nanoseconds, some thousand.
func (p program) run(t *testing.T, tests string, histories int) string {
	t.Helper()
	cmd := exec.Command(p.path, "-test.run", "^("+tests+")$", "-test.timeout", "2m",
		"-operations", "1000000", "-histories", strconv.Itoa(histories), "-smallest=false",
		"-rapid.nofailfile", "-rapid.shrinktime", "0s")
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
