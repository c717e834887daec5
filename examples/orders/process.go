package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"time"
)

// A fuse counts moments, and kills somebody at one of them.
type fuse struct {
	mu   sync.Mutex
	left int // 0: it is not lit
	kill func() error
	seen int
	err  error
}

// light makes a fuse burn for so many moments from now on; 0 puts it out.
func (f *fuse) light(moments int, kill func() error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left, f.kill, f.seen = moments, kill, 0
}

// moment is called when something has happened that may be the last thing.
func (f *fuse) moment() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.seen++
	if f.left == 0 {
		return
	}
	if f.left--; f.left == 0 {
		f.err = f.kill()
	}
}

// burnt reports whether it has killed, and after how many moments in all it is asked.
func (f *fuse) burnt() (killed bool, seen int, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kill != nil && f.left == 0, f.seen, f.err
}

// A life is what became of one worker.
type life struct {
	killed  bool
	moments int // that it lived
	report  *report
}

// workFor has a worker do a job. It is killed at the given moment of its life, if it
// lives that long; 0: it is not.
func workFor(ctx context.Context, todo job, f *fuse, at int, errs io.Writer) (life, error) {
	exe, err := os.Executable()
	if err != nil {
		return life{}, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), workerEnv+"=1")
	cmd.Stderr = errs
	cmd.WaitDelay = time.Minute
	in, err := cmd.StdinPipe()
	if err != nil {
		return life{}, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return life{}, err
	}
	if err := cmd.Start(); err != nil {
		return life{}, err
	}
	if at > 0 {
		f.light(at, cmd.Process.Kill)
	} else {
		f.light(0, nil)
	}
	told := json.NewEncoder(in).Encode(todo) // it stays open: when we are gone the worker goes, too
	report, heard := listen(out, f)
	err = cmd.Wait()
	killed, moments, failed := f.burnt()
	f.light(0, nil)
	switch {
	case err == nil && report != nil:
		return life{false, moments, report}, nil
	case ctx.Err() != nil:
		return life{}, context.Cause(ctx)
	case killed && failed == nil:
		return life{killed: true, moments: moments}, nil
	}
	return life{}, fmt.Errorf("the worker ended without a report: %w", errors.Join(err, told, heard, failed))
}

// listen hears what a worker tells, to its end. The last message of one that is
// killed may be torn.
func listen(out io.Reader, f *fuse) (*report, error) {
	var last *report
	lines := json.NewDecoder(out)
	for {
		var m message
		switch err := lines.Decode(&m); {
		case errors.Is(err, io.EOF):
			return last, nil
		case err != nil:
			_, _ = io.Copy(io.Discard, out) // or it would wait for us
			return last, err
		}
		if m.Report == nil {
			f.moment()
			continue
		}
		last = m.Report
	}
}
