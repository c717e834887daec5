package registryhttp_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// watchdog is how long a test waits for what happens at once unless something
// is wrong.
const watchdog = 30 * time.Second

// A faultServer is a loopback server that does to each of its connections what
// a script says. It notices connections that a client keeps.
type faultServer struct {
	addr     string
	requests atomic.Int64
	open     sync.WaitGroup // connections, and the loop that accepts them

	// Set before the first connection, by tests that need them.
	received <-chan struct{} // closed when the client has read something
	cancel   func()          // ends the context of the client's call
}

// A wire is one connection to a faultServer.
type wire struct {
	net.Conn
	r      *bufio.Reader
	server *faultServer
}

// newFaultServer runs the script for every connection, which ends with it.
// client makes the calls: what it still holds when the test is over is a leak.
func newFaultServer(t *testing.T, client *http.Transport, script func(*wire)) *faultServer {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &faultServer{addr: listener.Addr().String()}
	s.open.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			s.open.Go(func() {
				w := &wire{Conn: conn, r: bufio.NewReader(conn), server: s}
				defer w.hangUp()
				script(w)
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		client.CloseIdleConnections()
		awaitAll(t, &s.open, "the client leaks a connection")
	})
	return s
}

// awaitAll waits for a group that is about to be done.
func awaitAll(t *testing.T, group *sync.WaitGroup, otherwise string) {
	t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		group.Wait()
	}()
	patience, cancel := context.WithTimeout(context.Background(), watchdog)
	defer cancel()
	select {
	case <-done:
	case <-patience.Done():
		t.Error(otherwise)
	}
}

// instance is the server as an instance of "orders".
func (s *faultServer) instance(id string) registry.Instance { return at(id, s.addr) }

// request reads the next request with its body, or returns nil at the end of
// the connection.
func (w *wire) request() *http.Request {
	req := w.header()
	if req != nil {
		_, _ = io.Copy(io.Discard, req.Body)
	}
	return req
}

// header reads only the header of a request.
func (w *wire) header() *http.Request {
	req, err := http.ReadRequest(w.r)
	if err != nil {
		return nil
	}
	w.server.requests.Add(1)
	return req
}

// send writes raw bytes. The client may be gone: then so be it.
func (w *wire) send(text string) { _, _ = io.WriteString(w, text) }

// answer sends a complete response.
func (w *wire) answer(status int, body string, header ...string) {
	text := fmt.Sprintf("HTTP/1.1 %d %s\r\nContent-Length: %d\r\n", status, http.StatusText(status), len(body))
	for i := 0; i+1 < len(header); i += 2 {
		text += header[i] + ": " + header[i+1] + "\r\n"
	}
	w.send(text + "\r\n" + body)
}

// stall waits until the client has read what was sent, has its call cancelled,
// and then keeps silent.
func (w *wire) stall() {
	<-w.server.received
	w.server.cancel()
	w.wait()
}

// wait keeps silent until the client hangs up.
func (w *wire) wait() { _, _ = io.Copy(io.Discard, w.r) }

// hangUp ends the connection; twice does no harm.
func (w *wire) hangUp() { _ = w.Close() }

// reset hangs up without the farewells of TCP.
func (w *wire) reset() {
	_ = w.Conn.(*net.TCPConn).SetLinger(0)
	w.hangUp()
}

// half of a response.
const half = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ntext"
