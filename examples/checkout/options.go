package main

import (
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// Options are what the command line says.
type options struct {
	orders string // the file; "": the one that comes with the program
	seed   uint64
	faults string // "script" or "none"
	within time.Duration
	dir    string // "": a temporary one
	page   string // the address of the page; "": none
}

const usage = `Checkout is a shop that stays up: four services, one saga for each order, and what
goes wrong meanwhile.

	checkout [-http ADDR] [-faults script|none] [-for D] [-seed N] [-orders FILE] [-dir DIR]

Orders come while instances turn slow, die and are overloaded, and the order service
crashes. At the end the books of the services are compared with the orders.

	-http ADDR     a page to watch and to break it, such as 127.0.0.1:8080; orders
	               come until Ctrl-C
	-faults WHICH  script, or none; script
	-for D         how long the orders take to come, and the script; 20s
	-seed N        who comes when, what fails and is refused; 1
	-orders FILE   orders, one JSON object per line; "-" is standard input
	-dir DIR       for the journal and the audit log, empty or new; a temporary
	               directory

The exit status is 0 if the books are right, 1 if not, 2 for wrong usage (when built;
go run makes that 1).
`

const (
	usualTime = 20 * time.Second
	leastTime = 500 * time.Millisecond
	mostTime  = 24 * time.Hour
)

var errHelp = flag.ErrHelp

// parse reads the command line. What is wrong with it has been told.
func parse(args []string, errs io.Writer) (options, error) {
	var opt options
	fs := flag.NewFlagSet("checkout", flag.ContinueOnError)
	fs.SetOutput(errs)
	fs.Usage = func() { fmt.Fprint(errs, usage) }
	fs.StringVar(&opt.page, "http", "", "")
	fs.StringVar(&opt.faults, "faults", "script", "")
	fs.DurationVar(&opt.within, "for", usualTime, "")
	fs.Uint64Var(&opt.seed, "seed", 1, "")
	fs.StringVar(&opt.orders, "orders", "", "")
	fs.StringVar(&opt.dir, "dir", "", "")
	if err := fs.Parse(args); err != nil {
		return options{}, err // told by fs
	}
	err := opt.check(fs)
	if err != nil {
		fmt.Fprintln(errs, "checkout:", err)
		return options{}, err
	}
	return opt, nil
}

func (opt options) check(fs *flag.FlagSet) error {
	switch {
	case fs.NArg() > 0:
		return fmt.Errorf("unexpected argument %q", fs.Arg(0))
	case opt.faults != "script" && opt.faults != "none":
		return fmt.Errorf("-faults is %q, want script or none", opt.faults)
	case opt.within < leastTime || opt.within > mostTime:
		return fmt.Errorf("-for is %v, want %v to %v", opt.within, leastTime, mostTime)
	}
	if opt.page != "" {
		if _, _, err := net.SplitHostPort(opt.page); err != nil {
			return fmt.Errorf("-http is %q, want host:port: %w", opt.page, err)
		}
	}
	return nil
}

// claim makes sure that the directory is there and empty. The books of the services
// are kept in memory, so that runs of another time would not fit them. It returns the
// directory, and what ends its use.
func (opt options) claim() (dir string, release func() error, err error) {
	if opt.dir == "" {
		dir, err := os.MkdirTemp("", "checkout")
		return dir, func() error { return os.RemoveAll(dir) }, err
	}
	if err := os.MkdirAll(opt.dir, 0o755); err != nil {
		return "", nil, err
	}
	there, err := os.ReadDir(opt.dir)
	if err != nil {
		return "", nil, err
	}
	if len(there) > 0 {
		return "", nil, fmt.Errorf("-dir is %s, which holds %s, want an empty directory", opt.dir, there[0].Name())
	}
	return opt.dir, func() error { return nil }, nil
}
