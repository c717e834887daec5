package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sync"
	"time"
)

// root is where the core module is, from here.
const root = "../../.."

// A shop is the checkout program at work.
type shop struct {
	url string

	cmd   *exec.Cmd
	ended chan struct{} // closed when it has ended and all that it said is known
	err   error         // of how it ended; not before that

	mu   sync.Mutex
	said bytes.Buffer // on standard output and standard error
}

var address = regexp.MustCompile(`http://\S+`)

// open builds the program in a directory and starts it with a page. It is at work
// when its URL is known.
func open(ctx context.Context, dir string, args ...string) (*shop, error) {
	program := filepath.Join(dir, "checkout.exe") // a name that every system runs
	// As users do it: with the requirements of the core module, not of this one.
	build := exec.CommandContext(ctx, "go", "build", "-o", program, "./examples/checkout")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	s := &shop{
		cmd:   exec.CommandContext(ctx, program, append([]string{"-http", "127.0.0.1:0"}, args...)...),
		ended: make(chan struct{}),
	}
	out, in := io.Pipe()
	s.cmd.Stdout, s.cmd.Stderr = in, in
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = in.CloseWithError(s.cmd.Wait()) // never fails
	}()
	found := make(chan string, 1)
	go func() {
		defer close(s.ended)
		s.err = s.read(out, found)
	}()
	select {
	case s.url = <-found:
		return s, nil
	case <-s.ended:
	case <-time.After(time.Minute):
		_ = s.cmd.Process.Kill()
		<-s.ended
	}
	return nil, fmt.Errorf("the program tells no URL: %w\n%s", s.err, s.output())
}

// read keeps what the program says, and finds its URL, until it has ended.
func (s *shop) read(out io.Reader, found chan<- string) error {
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		s.mu.Lock()
		s.said.WriteString(lines.Text() + "\n")
		s.mu.Unlock()
		if url := address.FindString(lines.Text()); url != "" {
			select {
			case found <- url:
			default: // only the first one counts
			}
		}
	}
	return lines.Err()
}

func (s *shop) output() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.said.String()
}

// close ends the program as Ctrl-C does, and waits for the orders that are under way.
// The error tells that the books are not right.
func (s *shop) close() error {
	err := s.cmd.Process.Signal(os.Interrupt)
	patience := time.AfterFunc(time.Minute, func() { _ = s.cmd.Process.Kill() })
	defer patience.Stop()
	<-s.ended
	if s.err != nil {
		err = errors.Join(err, fmt.Errorf("%w\n%s", s.err, s.output()))
	}
	return err
}
