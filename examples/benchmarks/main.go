// Command benchmarks measures Mainstay against other libraries and writes
// RESULTS.md into the current directory. See README.md.
package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/examples/benchmarks/breakerbench"
	"github.com/mainstay-go/mainstay/examples/benchmarks/composedbench"
	"github.com/mainstay-go/mainstay/examples/benchmarks/eventbusbench"
	"github.com/mainstay-go/mainstay/examples/benchmarks/registrybench"
	"github.com/mainstay-go/mainstay/examples/benchmarks/sagabench"
)

// subjects are what there is to measure, one per package of Mainstay.
func subjects() []bench.Subject {
	return []bench.Subject{breakerbench.Subject(), eventbusbench.Subject(), registrybench.Subject(), sagabench.Subject(), composedbench.Subject()}
}

func main() {
	if err := run(os.Args[1:], subjects(), os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "benchmarks:", err)
		os.Exit(1)
	}
}

func run(args []string, subjects []bench.Subject, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("benchmarks", flag.ContinueOnError)
	flags.SetOutput(stderr)
	rounds := flags.Int("rounds", 30, "how often each case is measured")
	benchtime := flags.Duration("benchtime", 50*time.Millisecond, "how long a case is measured in a round")
	match := flags.String("run", "", "measure only what matches this `regexp` of group/row, and print the report instead of writing RESULTS.md")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *rounds < 1 || *benchtime <= 0 || flags.NArg() > 0 {
		return fmt.Errorf("rounds and benchtime have to be positive, and there are no arguments: %q", args)
	}
	o := bench.Options{Rounds: *rounds, BenchTime: *benchtime, Progress: stderr}
	if *match != "" {
		var err error
		if o.Match, err = regexp.Compile(*match); err != nil {
			return err
		}
	}

	report := bench.Report{
		Machine:  bench.ThisMachine(),
		Command:  command(args),
		Rounds:   *rounds,
		Versions: bench.Versions(),
	}
	for _, s := range subjects {
		res, err := bench.Measure(s, o)
		if err != nil {
			return err
		}
		report.Results = append(report.Results, res)
	}
	if *match != "" {
		return report.Write(stdout)
	}
	var text strings.Builder
	if err := report.Write(&text); err != nil {
		return err
	}
	return os.WriteFile("RESULTS.md", []byte(text.String()), 0o644)
}

// command is what to type for the same run.
func command(args []string) string {
	line := "go run ."
	for _, a := range args {
		if strings.ContainsAny(a, " |()[]{}*?$&;<>!#~`\\\"'") {
			a = "'" + strings.ReplaceAll(a, "'", `'\''`) + "'"
		}
		line += " " + a
	}
	return line
}
