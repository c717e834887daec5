package filestore_test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// childDir is the environment variable that makes the test binary a child.
const childDir = "FILESTORE_TEST_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		if err := child(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	if dir := os.Getenv(goldenDir); dir != "" {
		if err := writeGolden(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// child writes until it is killed, and tells of every write that was acknowledged.
// It says "open" first.
func child(dir string) error {
	s, err := filestore.Open(dir, filestore.Config{SegmentSize: 60_000, Garbage: 0.2})
	if err != nil {
		return err
	}
	fmt.Println("open")
	var said sync.Mutex
	say := func(id string, rev uint64) {
		said.Lock()
		defer said.Unlock()
		fmt.Println(id, rev)
	}
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d.%d.%d", os.Getpid(), w, i)
				event := strings.Repeat("\x00", i%3*1000) + id
				err := s.Create(bg, head(id), 0, payloads(event))
				for rev := uint64(1); err == nil && rev < 4; rev++ {
					say(id, rev)
					err = s.Append(bg, rev, ended(id), 0, payloads(event))
				}
				if err == nil {
					say(id, 4)
					if i%3 > 0 {
						say(id, 99) // from now on it may be gone
						err = s.Delete(bg, id, 4)
					}
				}
				if err != nil {
					panic(err)
				}
			}
		}()
	}
	_, err = io.Copy(io.Discard, os.Stdin) // until the parent has gone
	return err
}

// start runs the test binary as a child, once it has opened the directory.
func start(t *testing.T, dir string) (cmd *exec.Cmd, said *bufio.Scanner) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	t.Cleanup(func() { _ = in.Close() })
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	said = bufio.NewScanner(out)
	require.True(t, said.Scan())
	require.Equal(t, "open", said.Text())
	return cmd, said
}

// kill kills a child and waits until it has gone.
func kill(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait() // it tells that it was killed
}

// TestG50_killed: a process is killed in the midst of its writes, again and again.
// Whatever it had acknowledged is there.
func TestG50_killed(t *testing.T) {
	dir := t.TempDir()
	acked := map[string]uint64{}
	rounds := 30
	if testing.Short() {
		rounds = 3
	}
	for round := range rounds {
		cmd, said := start(t, dir)
		for range 50 + rand.IntN(400) {
			require.True(t, said.Scan())
			hear(t, acked, said.Text())
		}
		require.NoError(t, cmd.Process.Kill())
		for said.Scan() { // what it said before it died counts
			hear(t, acked, said.Text())
		}
		_ = cmd.Wait()
		s, err := filestore.Open(dir, filestore.Config{})
		require.NoError(t, err, round)
		for id, rev := range acked {
			got, events := load(t, s, id)
			if rev == 99 && got == 0 {
				delete(acked, id)
				continue
			}
			require.GreaterOrEqual(t, got, min(rev, 4), id)
			require.Len(t, events, int(got))
			for _, e := range events {
				require.Equal(t, id, strings.Trim(e, "\x00"))
			}
		}
		closeStore(t, s)
	}
}

func hear(t *testing.T, acked map[string]uint64, line string) {
	t.Helper()
	id, rev, ok := strings.Cut(line, " ")
	n, err := strconv.ParseUint(rev, 10, 64)
	if ok && err == nil { // the last line may be torn
		acked[id] = n
	}
}

// TestG50_locked: a directory that is open, here or in another process, cannot be
// opened again; the lock is free when the process is killed, or after Close.
// Verify needs no lock.
func TestG50_locked(t *testing.T) {
	dir := t.TempDir()
	cmd, _ := start(t, dir)
	_, err := filestore.Open(dir, filestore.Config{})
	require.ErrorIs(t, err, filestore.ErrLocked)
	_, err = filestore.Verify(dir)
	require.NoError(t, err)
	kill(t, cmd)
	s := open(t, dir, filestore.Config{})
	_, err = filestore.Open(dir, filestore.Config{})
	require.ErrorIs(t, err, filestore.ErrLocked)
	closeStore(t, s)
	closeStore(t, open(t, dir, filestore.Config{}))
}
