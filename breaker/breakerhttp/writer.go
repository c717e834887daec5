package breakerhttp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/mainstay-go/mainstay/breaker"
)

// A writer notes the status that a handler decides on, and that data flows. Like
// every ResponseWriter it is for one goroutine at a time.
//
// It has the methods that can do no harm where the ResponseWriter it wraps has
// none. Those that handlers look for to learn what it can do are added by dress;
// deadlines and full duplex are reached through Unwrap.
type writer struct {
	http.ResponseWriter
	permit   breaker.Permit
	status   int  // zero until it is decided
	rejected bool // WriteRejection decided
}

// decide notes the status unless there was one: the first is sent.
func (w *writer) decide(status int) {
	if w.status == 0 {
		w.status = status
	}
}

// progress tells that the client was sent something. A status that will be a
// failure, or ignored, does not get any better by that.
func (w *writer) progress() {
	if !failure(w.status) {
		w.permit.Progress()
	}
}

// sent passes on what a write returned.
func (w *writer) sent(n int, err error) (int, error) {
	if n > 0 {
		w.progress()
	}
	return n, err
}

// WriteHeader passes on informational statuses, of which there may be any
// number; only 101 is the last. An impossible status panics below and decides
// nothing.
func (w *writer) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if status >= http.StatusOK || status == http.StatusSwitchingProtocols {
		w.decide(status)
	}
}

func (w *writer) Write(p []byte) (int, error) {
	w.decide(http.StatusOK)
	return w.sent(w.ResponseWriter.Write(p))
}

func (w *writer) WriteString(s string) (int, error) {
	w.decide(http.StatusOK)
	return w.sent(io.WriteString(w.ResponseWriter, s))
}

// FlushError is there for http.ResponseController, which would else pass by and
// decide the status unseen. Without anything to flush below, it says so as the
// controller would.
func (w *writer) FlushError() error {
	err := http.NewResponseController(w.ResponseWriter).Flush()
	if !errors.Is(err, http.ErrNotSupported) {
		w.decide(http.StatusOK)
	}
	return err
}

// Unwrap is for http.ResponseController and announce.
func (w *writer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// announced notes that what is written next, if it decides, is a rejection.
func (w *writer) announced() {
	if w.status == 0 {
		w.rejected = true
	}
}

// announce tells every Middleware that w is written through that a rejection
// comes.
func announce(w http.ResponseWriter) {
	for {
		if m, ok := w.(interface{ announced() }); ok {
			m.announced()
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return
		}
		w = u.Unwrap()
	}
}

// The methods that a handler finds only if the ResponseWriter below has them.
type (
	flusher    struct{ w *writer }
	hijacker   struct{ w *writer }
	readerFrom struct{ w *writer }
)

func (f flusher) Flush() { _ = f.w.FlushError() }

// Hijack reports: the connection is the handler's from now on, and neither its
// length of life nor what the handler still does to the ResponseWriter tells of
// this server.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, buf, err := http.NewResponseController(h.w.ResponseWriter).Hijack()
	if err == nil {
		h.w.permit.Record(breaker.Success, nil)
	}
	return conn, buf, err
}

// hijackable reports whether w is an http.Hijacker, or has one that
// http.ResponseController finds, which would else pass by a writer.
func hijackable(w http.ResponseWriter) bool {
	for {
		if _, ok := w.(http.Hijacker); ok {
			return true
		}
		u, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return false
		}
		w = u.Unwrap()
	}
}

// ReadFrom decides only if something came: before that an error of src can
// still be answered with a status.
func (r readerFrom) ReadFrom(src io.Reader) (int64, error) {
	n, err := r.w.ResponseWriter.(io.ReaderFrom).ReadFrom(src)
	if n > 0 {
		r.w.decide(http.StatusOK)
		r.w.progress()
	}
	return n, err
}

// dress is w with the methods that the ResponseWriter below has. HTTP/1 has all
// three, HTTP/2 only Flush; the rest are other people's wrappers.
func (w *writer) dress() http.ResponseWriter {
	_, flush := w.ResponseWriter.(http.Flusher)
	hijack := hijackable(w.ResponseWriter)
	_, readFrom := w.ResponseWriter.(io.ReaderFrom)
	f, h, r := flusher{w}, hijacker{w}, readerFrom{w}
	switch {
	case flush && hijack && readFrom:
		return struct {
			*writer
			flusher
			hijacker
			readerFrom
		}{w, f, h, r}
	case flush && hijack:
		return struct {
			*writer
			flusher
			hijacker
		}{w, f, h}
	case flush && readFrom:
		return struct {
			*writer
			flusher
			readerFrom
		}{w, f, r}
	case hijack && readFrom:
		return struct {
			*writer
			hijacker
			readerFrom
		}{w, h, r}
	case flush:
		return struct {
			*writer
			flusher
		}{w, f}
	case hijack:
		return struct {
			*writer
			hijacker
		}{w, h}
	case readFrom:
		return struct {
			*writer
			readerFrom
		}{w, r}
	}
	return w
}
