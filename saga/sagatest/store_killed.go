package sagatest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

const (
	childDir   = "MAINSTAY_SAGATEST_DIR"   // tells a child that it is one, and where it is to write
	childSaga  = "MAINSTAY_SAGATEST_SAGA"  // the saga of its runs
	childRound = "MAINSTAY_SAGATEST_ROUND" // in which of the rounds it is
	ackPrefix  = "sagatest: acknowledged "

	writers    = 4 // in a child
	phases     = 5 // of a run of a writer: created, three times appended to, and every other one deleted
	childSteps = 100_000
)

// checkKilled wants what was acknowledged to be there, and nothing by halves, when
// the process that wrote it was killed.
func checkKilled(tb testing.TB, h Harness) {
	tb.Helper()
	if dir := os.Getenv(childDir); dir != "" {
		child(tb, h, dir)
		return
	}
	s := newSubject(tb, h)
	defer s.close()
	for round, acks := range []int{1, 50, 150, 300} {
		s.close()
		last, err := s.killed(round, acks)
		if errors.Is(err, errors.ErrUnsupported) {
			s.open()
			tb.Logf("sagatest: there are no child processes here: %v", err)
			return
		}
		s.open()
		if err != nil {
			tb.Fatalf("sagatest: %v", err)
		}
		var names []string
		for w := range writers {
			names = append(names, s.survives(round, w, last[w])...)
		}
		listed := slices.DeleteFunc(s.names(s.list(durable.Query{Saga: s.saga})), func(name string) bool {
			return !strings.HasPrefix(name, strconv.Itoa(round)+"/")
		})
		slices.Sort(names)
		slices.Sort(listed)
		if !slices.Equal(names, listed) {
			tb.Errorf("sagatest: after the process was killed: List has %d runs %.300q, and Load %d %.300q", len(listed), listed, len(names), names)
		}
		if tb.Failed() {
			return
		}
		if len(names) > 0 {
			in, _ := s.load(s.id(names[0]))
			s.append(in.Rev, in, 0, "goes on")
		}
	}
}

// killed runs a child until it has acknowledged so many writes, and kills it. It
// returns the last step that each writer has acknowledged; -1: none.
func (s *subject) killed(round, acks int) (last [writers]int, err error) {
	ctx, free := bounded()
	defer free()
	last = [writers]int{-1, -1, -1, -1}
	binary, err := os.Executable()
	if err != nil {
		return last, err
	}
	parts := strings.Split(s.tb.Name(), "/")
	for i := range parts {
		parts[i] = "^" + regexp.QuoteMeta(parts[i]) + "$"
	}
	cmd := exec.CommandContext(ctx, binary, "-test.run="+strings.Join(parts, "/"), "-test.count=1")
	cmd.Env = append(os.Environ(), childDir+"="+s.dir, childSaga+"="+s.saga, childRound+"="+strconv.Itoa(round))
	var said, failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.StdoutPipe()
	if err != nil {
		return last, err
	}
	if err := cmd.Start(); err != nil {
		return last, err
	}
	got := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var w, step int
		_, bad := fmt.Sscanf(lines.Text(), ackPrefix+"%d %d", &w, &step)
		if bad != nil || w < 0 || w >= writers {
			said.Write(append(lines.Bytes(), '\n'))
			continue
		}
		last[w] = step
		if got++; got == acks {
			_ = cmd.Process.Kill() // what it has acknowledged meanwhile is still to be read
		}
	}
	ended := fmt.Sprint(cmd.Wait())
	if got < acks {
		return last, fmt.Errorf("the child process has acknowledged %d writes, not %d, when it ended with %s; it said:\n%s%s",
			got, acks, ended, said.Bytes(), failed.Bytes())
	}
	return last, nil
}

// child writes until it is killed.
func child(tb testing.TB, h Harness, dir string) {
	tb.Helper()
	store, err := h.Open(dir)
	if err != nil || store == nil {
		tb.Fatalf("sagatest: Open in a child process returns %v, %v", store, err)
	}
	s := &subject{tb: tb, h: h, dir: dir, store: store, saga: os.Getenv(childSaga)}
	round, err := strconv.Atoi(os.Getenv(childRound))
	if err != nil {
		tb.Fatalf("sagatest: %v", err)
	}
	ctx, free := bounded()
	defer free()
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for step := range childSteps {
				n, phase := step/phases, step%phases
				in, events := s.written(round, w, n, phase)
				var err error
				switch {
				case phase == 0:
					err = store.Create(ctx, in, 0, events)
				case phase < phases-1:
					err = store.Append(ctx, uint64(phase), in, 0, events[len(events)-added(phase):])
				case n%2 == 1:
					err = store.Delete(ctx, in.ID, uint64(phase))
				}
				if err == nil {
					_, err = os.Stdout.WriteString(fmt.Sprintf("%s%d %d\n", ackPrefix, w, step))
				}
				if err != nil {
					tb.Errorf("sagatest: step %d of a run in a child process: %v", phase, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

// added is how many events a phase adds.
func added(phase int) int { return [phases]int{2, 3, 0, 1, 0}[phase] }

// written is the n-th run of a writer, as it is in a phase.
func (s *subject) written(round, w, n, phase int) (durable.Head, [][]byte) {
	in := s.full(fmt.Sprintf("%d/%d/%d", round, w, n), min(phase, phases-2))
	in.Status = saga.Running
	if phase >= phases-2 {
		in.Status = saga.Completed
	}
	var events [][]byte
	for p := range min(phase, phases-2) + 1 {
		for i := range added(p) {
			events = append(events, bytes.Repeat([]byte{byte(w), byte(n), byte(p), byte(i)}, 1+(n*37+p*11)%700))
		}
	}
	return in, events
}

// survives wants the runs of a writer to be as they were after its last step, or
// after the next one, and returns the names of those that are there.
func (s *subject) survives(round, w, last int) (names []string) {
	s.tb.Helper()
	ctx, free := bounded()
	defer free()
	for n := range (last+1)/phases + 1 {
		// From which phase to which it may be; -1: it is not there.
		from, to := phases-1, phases-1
		if n == (last+1)/phases {
			to = (last + 1) % phases
			from = to - 1
		}
		full, _ := s.written(round, w, n, 0)
		got, _, err := s.store.Load(ctx, full.ID)
		if errors.Is(err, durable.ErrNotFound) {
			if deleted := to == phases-1 && n%2 == 1; from >= 0 && !deleted {
				s.tb.Errorf("sagatest: after the process was killed: a run is lost, of which %d writes were acknowledged", from+1)
			}
			continue
		}
		if err != nil {
			s.tb.Errorf("sagatest: after the process was killed: Load: %v", err)
			continue
		}
		names = append(names, s.names([]durable.Head{full})...)
		phase := int(got.Rev) - 1
		if phase < min(from, phases-2) || phase > min(to, phases-2) {
			s.tb.Errorf("sagatest: after the process was killed: a run has Rev %d, want %d to %d, since of it %d writes were acknowledged",
				got.Rev, min(from, phases-2)+1, min(to, phases-2)+1, from+1)
			continue
		}
		want, events := s.written(round, w, n, phase)
		s.expect("after the process was killed", numbered(want, got.Rev, 1), events)
	}
	return names
}
