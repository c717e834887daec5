package registryhttp_test

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
)

// A read is what one Read delivers.
type read struct {
	data string
	err  error
}

// errClose is what Close of a script returns.
var errClose = errors.New("close failed")

// A script is a Body that delivers what it is told to, then io.EOF.
type script struct {
	mu     sync.Mutex
	reads  []read
	next   int
	closes int
	bytes  int
}

func (s *script) Read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.next++
	if s.next > len(s.reads) {
		return 0, io.EOF
	}
	r := s.reads[s.next-1]
	n := copy(p, r.data)
	s.bytes += n
	return n, r.err
}

func (s *script) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closes++
	return errClose
}

// seen are the bytes that were read, and how often the body was closed.
func (s *script) seen() (bytes, closes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bytes, s.closes
}

// plenty is a Body without end that counts what is read of it.
type plenty struct{ bytes, closes atomic.Int64 }

func (p *plenty) Read(b []byte) (int, error) {
	p.bytes.Add(int64(len(b)))
	return len(b), nil
}

func (p *plenty) Close() error {
	p.closes.Add(1)
	return nil
}

// A stalled body delivers nothing until it is closed.
type stalled struct {
	once   sync.Once
	closed chan struct{}
}

func newStalled() *stalled { return &stalled{closed: make(chan struct{})} }

var errStalled = errors.New("closed while it was read")

func (s *stalled) Read([]byte) (int, error) {
	<-s.closed
	return 0, errStalled
}

func (s *stalled) Close() error {
	s.once.Do(func() { close(s.closed) })
	return nil
}

// A duplex is a Body that can be written to, as that of a 101.
type duplex struct {
	io.ReadCloser
	written []byte
}

func (d *duplex) Write(p []byte) (int, error) {
	d.written = append(d.written, p...)
	return len(p), nil
}
