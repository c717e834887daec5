package breakerhttp_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// What a ResponseWriter may also be, counted by who was called.
type (
	flushes   struct{ n *int }
	hijacks   struct{ n *int }
	readsFrom struct{ n *int }
)

var errNoConn = errors.New("no connection to give away")

func (f flushes) Flush() { *f.n++ }
func (h hijacks) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	*h.n++
	return nil, nil, errNoConn
}

func (r readsFrom) ReadFrom(src io.Reader) (int64, error) {
	*r.n++
	return io.Copy(io.Discard, src)
}

// able makes a ResponseWriter that has just these methods.
func able(flush, hijack, readFrom bool, n *int) http.ResponseWriter {
	w := &plainWriter{header: make(http.Header)}
	f, h, r := flushes{n}, hijacks{n}, readsFrom{n}
	switch fmt.Sprint(flush, hijack, readFrom) {
	case "true true true":
		return struct {
			*plainWriter
			flushes
			hijacks
			readsFrom
		}{w, f, h, r}
	case "true true false":
		return struct {
			*plainWriter
			flushes
			hijacks
		}{w, f, h}
	case "true false true":
		return struct {
			*plainWriter
			flushes
			readsFrom
		}{w, f, r}
	case "true false false":
		return struct {
			*plainWriter
			flushes
		}{w, f}
	case "false true true":
		return struct {
			*plainWriter
			hijacks
			readsFrom
		}{w, h, r}
	case "false true false":
		return struct {
			*plainWriter
			hijacks
		}{w, h}
	case "false false true":
		return struct {
			*plainWriter
			readsFrom
		}{w, r}
	}
	return w
}

// G45: behind Middleware a ResponseWriter is what it was before, no less and no
// more.
func TestG45_InterfacesPreserved(t *testing.T) {
	for i := range 8 {
		flush, hijack, readFrom := i&1 != 0, i&2 != 0, i&4 != 0
		t.Run(fmt.Sprintf("flush=%v hijack=%v readFrom=%v", flush, hijack, readFrom), func(t *testing.T) {
			calls := 0
			below := able(flush, hijack, readFrom, &calls)
			handler := func(w http.ResponseWriter, _ *http.Request) {
				f, isFlusher := w.(http.Flusher)
				h, isHijacker := w.(http.Hijacker)
				r, isReaderFrom := w.(io.ReaderFrom)
				assert.Equal(t, flush, isFlusher, "http.Flusher")
				assert.Equal(t, hijack, isHijacker, "http.Hijacker")
				assert.Equal(t, readFrom, isReaderFrom, "io.ReaderFrom")
				if isHijacker {
					_, _, err := h.Hijack()
					assert.Equal(t, errNoConn, err)
					assert.Equal(t, 1, calls)
				}
				if isReaderFrom {
					before := calls
					n, err := r.ReadFrom(strings.NewReader("text"))
					assert.NoError(t, err)
					assert.Equal(t, int64(4), n)
					assert.Equal(t, before+1, calls)
				}
				if isFlusher {
					before := calls
					f.Flush()
					assert.Equal(t, before+1, calls)
				}
				control := http.NewResponseController(w)
				assert.Equal(t, flush, control.Flush() == nil, "controlled flush")
				_, _, err := control.Hijack()
				assert.Equal(t, !hijack, errors.Is(err, http.ErrNotSupported), "controlled hijack")
				assert.ErrorIs(t, control.SetReadDeadline(time.Time{}), http.ErrNotSupported)
			}
			breakerhttp.Middleware(newBreaker(t))(http.HandlerFunc(handler)).ServeHTTP(below, get(t))
		})
	}
}

// A failed hijack, an empty copy and a flush of what cannot be flushed send
// nothing, so the status is still open.
func TestG45_NothingSentDecidesNothing(t *testing.T) {
	for name, attempt := range map[string]func(http.ResponseWriter){
		"hijack": func(w http.ResponseWriter) { _, _, _ = w.(http.Hijacker).Hijack() },
		"copy":   func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("")) },
		"flush":  func(w http.ResponseWriter) { _ = http.NewResponseController(w).Flush() },
	} {
		var calls int
		below := able(false, true, true, &calls)
		b := newBreaker(t)
		breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			attempt(w)
			w.WriteHeader(500)
		})).ServeHTTP(below, get(t))
		assert.Equal(t, breaker.Open, b.State(), name)
	}
	b := newBreaker(t)
	var calls int
	breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("text"))
		w.WriteHeader(500)
	})).ServeHTTP(able(true, true, true, &calls), get(t))
	assert.Equal(t, breaker.Closed, b.State(), "something was sent")
}

// An impossible status panics, and the next one is sent.
func TestG45_ImpossibleStatusDecidesNothing(t *testing.T) {
	var l ledger
	b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
	w := serve(b, get(t), func(w http.ResponseWriter, _ *http.Request) {
		func() {
			defer func() { assert.NotNil(t, recover()) }()
			w.WriteHeader(1000)
		}()
		w.WriteHeader(200)
	})
	assert.Equal(t, 200, w.Code)
	assert.Equal(t, breaker.Success, l.one(t).Outcome)
}

// unwrapped is a ResponseWriter that hides what it wraps, but for an Unwrap.
type unwrapped struct{ w http.ResponseWriter }

func (u unwrapped) Header() http.Header         { return u.w.Header() }
func (u unwrapped) Write(p []byte) (int, error) { return u.w.Write(p) }
func (u unwrapped) WriteHeader(status int)      { u.w.WriteHeader(status) }
func (u unwrapped) Unwrap() http.ResponseWriter { return u.w }

// G45: what a hijacked connection is used for, and for how long, tells nothing of
// the server, so the call is over when it is hijacked, however the handler gets
// there and whatever it does then.
func TestG45_ReportedWhenHijacked(t *testing.T) {
	wraps := map[string]func(http.ResponseWriter) http.ResponseWriter{
		"plain":     func(w http.ResponseWriter) http.ResponseWriter { return w },
		"unwrapped": func(w http.ResponseWriter) http.ResponseWriter { return unwrapped{unwrapped{w}} },
	}
	ends := map[string]func(http.ResponseWriter){
		"500":   func(w http.ResponseWriter) { w.WriteHeader(500) },
		"panic": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	}
	for wrapped, wrap := range wraps {
		for ended, end := range ends {
			t.Run(wrapped+" "+ended, func(t *testing.T) {
				var l ledger
				clock := newHandClock()
				b := newBreaker(t, func(cfg *breaker.Config) {
					cfg.Clock, cfg.Hooks = clock, l.hooks()
					cfg.Trip = breaker.Any(breaker.ConsecutiveFailures(1), breaker.SlowRate(time.Second, 1, 1, breaker.LastN(1)))
				})
				guarded := breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					conn, _, err := http.NewResponseController(w).Hijack()
					if !assert.NoError(t, err) {
						return
					}
					defer func() { _ = conn.Close() }()
					assert.Equal(t, breaker.Success, l.one(t).Outcome)
					clock.Add(time.Hour)
					end(w)
				}))
				over := make(chan struct{})
				server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					defer close(over)
					guarded.ServeHTTP(wrap(w), r)
				}))
				server.Config.ErrorLog = discardLog()
				server.Start()
				defer server.Close()
				conn := dial(t, server.Listener.Addr().String())
				_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
				require.NoError(t, err)
				<-over
				assert.Empty(t, l.take())
				assert.Equal(t, breaker.Closed, b.State())
			})
		}
	}
}

// Scenario 29 for a handler: a stream that is written all the while closes the
// breaker long before its end. A failing status is none the better for it.
func TestG45_WriteCallsProgress(t *testing.T) {
	writes := map[string]func(http.ResponseWriter){
		"Write":       func(w http.ResponseWriter) { _, _ = w.Write([]byte("x")) },
		"WriteString": func(w http.ResponseWriter) { _, _ = io.WriteString(w, "x") },
		"ReadFrom":    func(w http.ResponseWriter) { _, _ = w.(io.ReaderFrom).ReadFrom(strings.NewReader("x")) },
	}
	for name, write := range writes {
		for status, want := range map[int]breaker.State{200: breaker.Closed, 500: breaker.HalfOpen} {
			t.Run(fmt.Sprint(name, " ", status), func(t *testing.T) {
				clock := newHandClock()
				b := newBreaker(t, func(cfg *breaker.Config) { cfg.Clock, cfg.ProbeLease = clock, 10*time.Second })
				b.Trip(time.Second, nil)
				clock.Add(time.Second)
				calls := 0
				breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
					w.WriteHeader(status)
					clock.Add(4 * time.Second)
					write(w)
					require.Equal(t, breaker.HalfOpen, b.State(), "too early")
					clock.Add(2 * time.Second)
					_, _ = w.Write(nil)
					require.Equal(t, breaker.HalfOpen, b.State(), "no data, no progress")
					write(w)
					assert.Equal(t, want, b.State())
				})).ServeHTTP(able(true, true, true, &calls), get(t))
				if status == 500 {
					assert.Equal(t, breaker.Open, b.State())
				}
			})
		}
	}
}

// G45: to net/http a write after Server.WriteTimeout is the end of the client,
// who may have been too slow to read. That is Ignored, but a SlowRate rule sees
// a handler that was too slow to write.
func TestG45_WriteTimeout(t *testing.T) {
	for name, test := range map[string]struct {
		rule breaker.Rule
		want breaker.State
	}{
		"failures":   {breaker.ConsecutiveFailures(1), breaker.Closed},
		"slow calls": {breaker.SlowRate(time.Minute, 1, 1, breaker.LastN(1)), breaker.Open},
	} {
		t.Run(name, func(t *testing.T) {
			clock, reported := newHandClock(), make(chan breaker.Completion, 1)
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Trip, cfg.Clock, cfg.Hooks = test.rule, clock, onDone(reported) })
			server := guardedServer(t, b, func(w http.ResponseWriter, r *http.Request) {
				// The deadline is over when it is set, so that nobody has to wait.
				assert.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second)))
				clock.Add(time.Minute)
				w.WriteHeader(500)
				_, err := w.Write(make([]byte, 1<<20))
				assert.ErrorIs(t, err, os.ErrDeadlineExceeded)
				<-r.Context().Done()
			})
			_, err := server.Client().Get(server.URL)
			require.Error(t, err)
			assert.Equal(t, breaker.Ignored, (<-reported).Outcome)
			assert.Equal(t, test.want, b.State())
		})
	}
}

// discardLog is for what servers have to say of panics, and of statuses that
// come too late.
func discardLog() *log.Logger { return log.New(io.Discard, "", 0) }

// guardedServer is a loopback server behind Middleware.
func guardedServer(t *testing.T, b *breaker.Breaker, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewUnstartedServer(breakerhttp.Middleware(b)(handler))
	server.Config.ErrorLog = discardLog()
	server.Start()
	t.Cleanup(server.Close)
	return server
}

// Scenario 34 over a real connection: the first part arrives while the handler
// still runs.
func TestG45_FlushHTTP1(t *testing.T) {
	flush := map[string]func(http.ResponseWriter) error{
		"Flusher": func(w http.ResponseWriter) error { w.(http.Flusher).Flush(); return nil },
		"ResponseController": func(w http.ResponseWriter) error {
			return http.NewResponseController(w).Flush()
		},
	}
	for name, flush := range flush {
		t.Run(name, func(t *testing.T) {
			var l ledger
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = l.hooks() })
			more, over := make(chan struct{}), make(chan struct{})
			outer := breakerhttp.Middleware(b)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, "first ")
				assert.NoError(t, flush(w))
				<-more
				_, _ = io.WriteString(w, "second")
			}))
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				defer close(over)
				outer.ServeHTTP(w, r)
			}))
			defer server.Close()
			resp, err := server.Client().Get(server.URL)
			require.NoError(t, err)
			defer resp.Body.Close()
			buf := make([]byte, 6)
			_, err = io.ReadFull(resp.Body, buf)
			require.NoError(t, err)
			assert.Equal(t, "first ", string(buf))
			assert.Empty(t, l.take(), "the handler still runs")
			close(more)
			rest, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			assert.Equal(t, "second", string(rest))
			<-over
			assert.Equal(t, breaker.Success, l.one(t).Outcome)
		})
	}
}

func TestG45_HijackHTTP1(t *testing.T) {
	hijack := map[string]func(http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error){
		"Hijacker": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) { return w.(http.Hijacker).Hijack() },
		"ResponseController": func(w http.ResponseWriter) (net.Conn, *bufio.ReadWriter, error) {
			return http.NewResponseController(w).Hijack()
		},
	}
	for name, hijack := range hijack {
		t.Run(name, func(t *testing.T) {
			reported := make(chan breaker.Completion, 1)
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = onDone(reported) })
			server := guardedServer(t, b, func(w http.ResponseWriter, _ *http.Request) {
				conn, buf, err := hijack(w)
				if !assert.NoError(t, err) {
					return
				}
				defer func() { _ = conn.Close() }()
				_, _ = buf.WriteString("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
				line, _ := buf.ReadString('\n')
				_, _ = buf.WriteString(line)
				_ = buf.Flush()
				w.WriteHeader(500) // of no effect, and none on the outcome
			})
			conn := dial(t, server.Listener.Addr().String())
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nhello\n")
			require.NoError(t, err)
			all, err := io.ReadAll(conn)
			require.NoError(t, err)
			assert.True(t, strings.HasPrefix(string(all), "HTTP/1.1 101 "))
			assert.True(t, strings.HasSuffix(string(all), "\r\n\r\nhello\n"))
			assert.Equal(t, breaker.Success, (<-reported).Outcome)
		})
	}
}

func onDone(reported chan<- breaker.Completion) breaker.Hooks {
	return breaker.Hooks{Done: func(_ context.Context, c breaker.Completion) { reported <- c }}
}

// io.Copy to a ResponseWriter reaches the server's ReadFrom, which may use
// sendfile.
func TestG45_ReadFromHTTP1(t *testing.T) {
	reported := make(chan breaker.Completion, 1)
	b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = onDone(reported) })
	text := strings.Repeat("0123456789", 10_000)
	server := guardedServer(t, b, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(text)))
		_, isReaderFrom := w.(io.ReaderFrom)
		assert.True(t, isReaderFrom)
		n, err := io.Copy(w, struct{ io.Reader }{strings.NewReader(text)})
		assert.NoError(t, err)
		assert.Equal(t, int64(len(text)), n)
		w.WriteHeader(500) // too late
	})
	resp, err := server.Client().Get(server.URL)
	require.NoError(t, err)
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, text, string(got))
	assert.Equal(t, breaker.Success, (<-reported).Outcome)
}

// Deadlines and full duplex are reached through Unwrap.
func TestG45_ResponseControllerHTTP1(t *testing.T) {
	b := newBreaker(t)
	server := guardedServer(t, b, func(w http.ResponseWriter, r *http.Request) {
		control := http.NewResponseController(w)
		assert.NoError(t, control.EnableFullDuplex())
		assert.NoError(t, control.SetWriteDeadline(time.Time{}))
		assert.NoError(t, control.SetReadDeadline(time.Now().Add(-time.Second)))
		_, err := io.ReadAll(r.Body)
		assert.ErrorIs(t, err, os.ErrDeadlineExceeded, "the deadline is in force")
	})
	pr, pw := io.Pipe()
	defer func() { _ = pw.Close() }()
	resp, err := server.Client().Post(server.URL, "text/plain", pr)
	require.NoError(t, err)
	resp.Body.Close()
	assert.Equal(t, http.StatusOK, resp.StatusCode)
}

// Scenario 34: the client hangs up, the handler notices and answers 500.
func TestG45_ClientDisconnects(t *testing.T) {
	for name, end := range map[string]func(http.ResponseWriter){
		"500":   func(w http.ResponseWriter) { w.WriteHeader(500) },
		"abort": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		t.Run(name, func(t *testing.T) {
			reported := make(chan breaker.Completion, 1)
			b := newBreaker(t, func(cfg *breaker.Config) { cfg.Hooks = onDone(reported) })
			began := make(chan struct{})
			server := guardedServer(t, b, func(w http.ResponseWriter, r *http.Request) {
				close(began)
				<-r.Context().Done()
				end(w)
			})
			conn := dial(t, server.Listener.Addr().String())
			_, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
			require.NoError(t, err)
			<-began
			require.NoError(t, conn.Close())
			done := <-reported
			assert.Equal(t, breaker.Ignored, done.Outcome)
			assert.Equal(t, breaker.Closed, b.State())
		})
	}
}
