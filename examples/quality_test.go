package examples

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	quality    = "../.github/design/QUALITY.md"
	modelcheck = "breaker/internal/modelcheck"
	registries = "registry/internal/modelcheck"
)

// Each test that QUALITY.md names is in the file that it links to, and other files
// that it links to are there.
func TestQUALITY_namesTests(t *testing.T) {
	page := read(t, quality)
	files := make(map[string]string) // by what a reference says
	for _, match := range regexp.MustCompile(`(?m)^\[([^\]]+)\]: (\S+)$`).FindAllStringSubmatch(page, -1) {
		assert.NotContains(t, files, match[1], "defined twice")
		files[match[1]] = match[2]
	}
	used := make(map[string]bool)
	for _, match := range regexp.MustCompile(`\[([^\]]+)\](\(([^)]+)\))?(:?)`).FindAllStringSubmatch(page, -1) {
		label, file := match[1], match[3]
		if match[4] != "" && file == "" {
			continue // the definition
		}
		if file == "" {
			file, used[label] = files[label], true
			require.NotEmpty(t, file, "[%s] leads nowhere", label)
		}
		if strings.HasPrefix(file, "https://") {
			continue
		}
		path := filepath.Join(filepath.Dir(quality), file)
		_, err := os.Stat(path)
		require.NoError(t, err, "[%s] leads to %s", label, file)
		words := strings.Fields(label)
		name := words[len(words)-1]
		if regexp.MustCompile(`^(Test|Fuzz)[A-Z]\w*$`).MatchString(name) {
			assert.Contains(t, read(t, path), "\nfunc "+name+"(", "%s", file)
		}
	}
	for label := range files {
		assert.True(t, used[label], "[%s] is defined for nothing", label)
	}
}

// A size is what QUALITY.md takes from the code: what is shown is in the one line of it
// that has the text row, and the tests of a directory have so many places that fit code.
type size struct {
	row, dir, code string
	count          int
	shown          []string
}

var sizes = []size{
	{"| [TestMachine]", modelcheck, `size\(operations, 1_000_000, 100_000_000,`, 1, []string{"1,000,000 operations", "100,000,000"}},
	{"| [TestMachine]", modelcheck, `(?m)^\t\{"[a-z ]+", \[\]ruleKind\{`, 8, []string{"8 families"}},
	{"| [breaker TestLinear] | 5", modelcheck, `size\(histories, 50_000, 1_000_000,`, 1, []string{"50,000 histories", "1,000,000"}},
	{"| [breaker TestLinear] | 5", modelcheck, `workers = 4\n\tturns   = 12\n`, 1, []string{"4 workers x 12 operations"}},
	{"| [TestProbes]", modelcheck, `size\(histories, 3_000, 100_000,`, 1, []string{"3,000 stays", "100,000"}},
	{"| [TestProbes]", modelcheck, `const callers = 8\n`, 1, []string{"8 callers"}},
	{"| [TestChaos]", modelcheck, `size\(histories, 300, 20_000,`, 1, []string{"300 rounds", "20,000"}},
	{"| [breaker TestMutants]", modelcheck, `\n\t\{\n\t\t"`, 33, []string{"33 faults", "33"}},
	{"| [breakerhttp TestFaults]", "breaker/breakerhttp", `(?m)^\t"[^"]+": +\{(serve|$)`, 40, []string{"40 faults"}},
	{"| [registryhttp TestFaults]", "registry/registryhttp", `(?m)^\t"[^"]+": +\{(serve|$)`, 42, []string{"42 faults"}},
	{"| [TestFaults_NoLeakedConnections]", "breaker/breakerhttp", `return 100_000\n\t\}\n\treturn 5_000\n`, 1, []string{"5,000 calls", "100,000"}},

	{"| [TestOracle]", "eventbus", `events, churns := 10_000_000, 1000\n`, 1, []string{"10,000,000 events", "1,000 that come"}},
	{"| [TestOracle]", "eventbus", `const publishers = 8\n`, 1, []string{"8 publishers"}},
	{"| [TestG14_G34_Churn]", "eventbus", `func TestG14_G34_Churn\([^}]*range uint64\(2000\)`, 1, []string{"2,000 seeds"}},
	{"| [TestS46_G14_AgainstTheModel]", "eventbus", `func TestS46_G14_AgainstTheModel\([^}]*seeds := uint64\(1500\)`, 1, []string{"1,500 seeds"}},
	{"| [TestG27_CyclesNeverHang], ", "eventbus", `func TestG27_CyclesNeverHang\([^}]*range uint64\(1000\)`, 1, []string{"1,000 and 500 graphs"}},
	{"| [TestG27_CyclesNeverHang], ", "eventbus", `func TestG27_NoFalseAlarmWithoutCycle\([^}]*range uint64\(500\)`, 1, []string{"1,000 and 500 graphs"}},
	{"| [TestG8_NobodyIsForgotten]", "eventbus", `func TestG8_NobodyIsForgotten\([^}]*seeds := uint64\(3000\)`, 1, []string{"3,000 seeds"}},
	{"| [TestG34_NothingAfterClose]", "eventbus", `func TestG34_NothingAfterClose\([^}]*range 200 `, 1, []string{"200 rounds"}},

	{"| [TestWalk]", registries, `size\(walks, 3_000, 200_000,`, 1, []string{"3,000 walks", "200,000"}},
	{"| [registry TestLinear]", registries, `size\(histories, 15_000, 1_000_000,`, 1, []string{"15,000 histories", "1,000,000"}},
	{"| [registry TestLinear]", registries, `workers = 4\n\tturns   = 12\n`, 1, []string{"4 workers x 12 operations"}},
	{"| [registry TestMutants]", registries, `\n\t\{\n\t\t"`, 35, []string{"35"}},
	{"| [TestWatchOracle]", "registry", `"a page": +\{0, 50, 20_000\},\n\t\t"many pages": \{5_000, 500, 2_000\},`, 1, []string{"20,000 and 2,000 changes"}},
	{"| [TestWatchOracle]", "registry", `c\.mutations \*= 50\n`, 1, []string{"50 times"}},
	{"| [TestWatchOracle]", "registry", `writers, watchers = \d+, 32\n`, 1, []string{"32 watchers"}},
	{"| [TestG14_HammerOfPicks]", "registry/balance", `picks\.Load\(\) < 4000\); i\+\+ \{\n\t+if !write\(`, 1, []string{"4,000 picks"}},
	{"| [TestG28_DrawsInProportion]", "registry/balance", `range 1_000_000 \{\n\t+counts\[a\.draw\(`, 1, []string{"1,000,000 draws"}},
	{"| [TestSimulation_verySlow]", "registry/balance", `func simulated\([^}]*\}\n\treturn 300_000\n`, 1, []string{"300,000 requests"}},

	{"| [TestG34_EveryCrash]", "saga/durable", `return 260, \d+, \d+, 100_000\n`, 1, []string{"260 sagas, at least 100,000 deaths"}},
	{"| [TestG34_EveryCrash]", "saga/durable", `return 4000, \d+, \d+, 3_500_000\n`, 1, []string{"4,000, at least 3,500,000"}},
	{"| [TestG34_killed]", "saga/filestore", `return 400, 50\n\t\}\n\treturn 40, 50\n`, 1, []string{"2,000 kills", "20,000"}},
	{"| [TestG36_PausedWorkers]", "saga/durable", `return 200_000\n\t\}\n\treturn 10_000\n`, 1, []string{"10,000 seeds", "200,000"}},
	{"| [TestG36_PausedWorkers]", "saga/durable", `range 3 \+ random\.IntN\(14\)`, 1, []string{"3 to 16 engines"}},
	{"| [TestS28_Operators]", "saga/durable", `func stormSize\([^}]*n := uint64\(200\)`, 1, []string{"200 storms of each"}},
	{"| [TestS28_Operators]", "saga/durable", `func stormSize\([^}]*return 20 \* n\n`, 1, []string{"4,000 of each"}},
	{"| [TestS28_MemoryAndEngine]", "saga/durable", `func TestS28_MemoryAndEngine\([^}]*seeds\(1500, `, 1, []string{"1,500 seeds"}},
	{"| [TestG50_crashAtEveryCall]", "saga/filestore", `func TestG50_crashAtEveryCall\([^}]*range uint64\(6\)`, 1, []string{"6 workloads"}},
	{"| [TestG51_failedCall]", "saga/filestore", `changes = \[\]string\{("[a-z]+", ){6}"[a-z]+"\}`, 1, []string{"7 kinds"}},
	{"| [TestG51_everyBit]", "saga/filestore", `require\.Greater\(t, flips, 32_768\)`, 1, []string{"over 32,768 bits"}},
	{"| [TestG50_killed]", "saga/filestore", `(?s)func TestG50_killed\(.{1,200}rounds := 30\n`, 1, []string{"30 kills"}},
	{"| [TestG40_goldenJournals]", "saga/filestore", `\bsaga: "[a-z]+", id: "`, 19, []string{"19 runs"}},

	{"| [TestPlay_seeds]", "examples/checkout", `func TestPlay_seeds\([^}]*runs.* := 100,`, 1, []string{"100 shops"}},
	{"| [TestKill]", "examples/orders", `func TestKill\([^}]*rounds := 50\n`, 1, []string{"50 rounds"}},
	{"| [TestKill]", "examples/orders", `kills: 2 \+ i%4,`, 1, []string{"2 to 5 kills"}},
}

// The sizes of tests in QUALITY.md are those in the code.
func TestQUALITY_sizes(t *testing.T) {
	page := read(t, quality)
	for _, s := range sizes {
		found := regexp.MustCompile(s.code).FindAllString(tests(t, s.dir), -1)
		assert.Len(t, found, s.count, "%s: the code that fits %s", s.dir, s.code)
		row := regexp.MustCompile(`(?m)^.*`+regexp.QuoteMeta(s.row)+`.*$`).FindAllString(page, -1)
		if assert.Len(t, row, 1, "rows with %q", s.row) {
			for _, shown := range s.shown {
				assert.Regexp(t, `(^|[^\d,])`+regexp.QuoteMeta(shown)+`($|[^\d,]|,\D)`, row[0])
			}
		}
	}
	usual, _, found := strings.Cut(tests(t, registries), "\nvar moreMutants = ")
	assert.True(t, found)
	assert.Contains(t, page, fmt.Sprintf("[registry TestMutants] | %d faults |", strings.Count(usual, "\n\t{\n\t\t\"")))
	assert.Contains(t, read(t, "../.ci/deep"), "${FUZZTIME:-20s}")
	assert.Contains(t, page, "[FuzzOpen] | its seeds | 20 s |")
}

// QUALITY.md knows how many tests, examples and fuzz targets there are at least, how
// many guarantees, and what coverage has to be.
func TestQUALITY_counts(t *testing.T) {
	page := strings.Join(strings.Fields(read(t, quality)), " ")
	source, corpora := new(strings.Builder), make(map[string]bool)
	guarantees, ofKits := 0, 0
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return fs.SkipDir
		case strings.HasSuffix(path, "_test.go"):
			source.WriteString(read(t, path))
		case strings.HasSuffix(path, "doc.go"):
			guarantees += strings.Count(read(t, path), "\n//   - G")
			ofKits += strings.Count(read(t, path), "\n//   - K")
		case filepath.Base(filepath.Dir(filepath.Dir(path))) == "fuzz":
			corpora[filepath.Dir(path)] = true
		}
		return nil
	})
	require.NoError(t, err)
	for what, pattern := range map[string]string{
		"tests":    `(?m)^func Test\w+\(\w+ \*testing\.T\)`,
		"examples": `(?m)^func Example\w*\(`,
	} {
		match := regexp.MustCompile(`([\d,]+) ` + what + `\b`).FindStringSubmatch(page)
		require.NotNil(t, match, what)
		var least int
		_, err := fmt.Sscan(strings.ReplaceAll(match[1], ",", ""), &least)
		require.NoError(t, err)
		assert.GreaterOrEqual(t, len(regexp.MustCompile(pattern).FindAllString(source.String(), -1)), least, what)
	}
	fuzz := len(regexp.MustCompile(`(?m)^func Fuzz\w+\(`).FindAllString(source.String(), -1))
	assert.Contains(t, page, fmt.Sprintf(" and %d fuzz targets.", fuzz))
	assert.Contains(t, page, fmt.Sprintf(" %d of the fuzz targets have a corpus", len(corpora)))
	assert.Contains(t, page, fmt.Sprintf("There are %d guarantees, ", guarantees))
	assert.Contains(t, page, fmt.Sprintf("and %d more of the test kits.", ofKits))

	coverage := regexp.MustCompile(`(?s)\ncoverage='\n(.*?)\n'`).FindStringSubmatch(read(t, "../.ci/run"))
	require.NotNil(t, coverage)
	for _, line := range strings.Split(coverage[1], "\n") {
		pkg, least := strings.Fields(line)[0], "coverage of %s %% of each package"
		switch {
		case pkg == "saga/filestore":
			least = "the file store %s %%)"
		case strings.HasPrefix(pkg, "saga"):
			least = "(sagas %s %%,"
		}
		assert.Contains(t, page, fmt.Sprintf(least, strings.Fields(line)[1]), pkg)
	}
	platforms := regexp.MustCompile(`\nplatforms='([^']*)'`).FindStringSubmatch(read(t, "../.ci/run"))
	require.NotNil(t, platforms)
	assert.Contains(t, page, fmt.Sprintf("vet for %d platforms,", len(strings.Fields(platforms[1]))))
}

// tests are the test files of a directory.
func tests(t *testing.T, dir string) string {
	t.Helper()
	files, err := filepath.Glob("../" + dir + "/*_test.go")
	require.NoError(t, err)
	require.NotEmpty(t, files, dir)
	var all strings.Builder
	for _, file := range files {
		all.WriteString(read(t, file))
	}
	return all.String()
}
