package main

import (
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// Options are what the command line says.
type options struct {
	orders  string // the file; "": the one that comes with the program
	seed    uint64
	kills   int    // 0: none
	dir     string // "": a temporary one
	mermaid string // a file; "": see drawing
}

const usage = `Orders shows sagas that survive the death of the process.

	orders [-kill [-kills N]] [-seed N] [-orders FILE] [-dir DIR] [-mermaid FILE]

Every order is a run of a saga against services that fail. A second process
executes the runs. At the end the books of the services are compared with the
runs.

	-kill          kill that process at bad moments; the next one goes on
	-kills N       how often; 3
	-seed N        what fails, and the moments; 1
	-orders FILE   orders, one JSON object per line; "-" is standard input
	-dir DIR       where the runs are kept, empty or new; a temporary directory
	-mermaid FILE  where a compensated run is drawn; DIR/compensated.mmd, or the output

The exit status is 0 if all expectations held, 1 if not, 2 for wrong usage (when
built; go run makes that 1).
`

const (
	usualKills = 3
	mostKills  = 1000
)

var errHelp = flag.ErrHelp

// parse reads the command line. What is wrong with it has been told.
func parse(args []string, errs io.Writer) (options, error) {
	var opt options
	fs := flag.NewFlagSet("orders", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() { fmt.Fprint(errs, usage) }
	fs.StringVar(&opt.orders, "orders", "", "")
	fs.Uint64Var(&opt.seed, "seed", 1, "")
	kill := fs.Bool("kill", false, "")
	fs.IntVar(&opt.kills, "kills", usualKills, "")
	fs.StringVar(&opt.dir, "dir", "", "")
	fs.StringVar(&opt.mermaid, "mermaid", "", "")
	if err := fs.Parse(args); err != nil {
		return options{}, err // told by fs
	}
	given := make(map[string]bool)
	fs.Visit(func(f *flag.Flag) { given[f.Name] = true })
	var err error
	switch {
	case fs.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case opt.kills < 1 || opt.kills > mostKills:
		err = fmt.Errorf("-kills is %d, want 1 to %d", opt.kills, mostKills)
	case given["kills"] && !*kill:
		err = fmt.Errorf("-kills is %d, but there is no -kill", opt.kills)
	}
	if err != nil {
		fmt.Fprintln(errs, "orders:", err)
		return options{}, err
	}
	if !*kill {
		opt.kills = 0
	}
	return opt, nil
}

// claim makes sure that the directory is there and empty. The books of the services
// are kept in memory, so that runs of another time would not fit them.
func (opt options) claim() error {
	if opt.dir == "" {
		return nil
	}
	if err := os.MkdirAll(opt.dir, 0o755); err != nil {
		return err
	}
	there, err := os.ReadDir(opt.dir)
	if err != nil {
		return err
	}
	if len(there) > 0 {
		return fmt.Errorf("-dir is %s, which holds %s, want an empty directory", opt.dir, there[0].Name())
	}
	return nil
}

// drawing is the file in which a run is drawn; "": none.
func (opt options) drawing() string {
	if opt.mermaid == "" && opt.dir != "" {
		return filepath.Join(opt.dir, "compensated.mmd")
	}
	return opt.mermaid
}
