package page

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	usualEvery = 250 * time.Millisecond
	patience   = 10 * time.Second // with a client that takes nothing
	maxForm    = 4 << 10          // bytes
	maxHost    = 255              // bytes
)

// Config is how a page is served. The zero Config is good.
type Config struct {
	// Every is the least time between two messages to one client. The default
	// is 250 ms.
	Every time.Duration

	// Hosts are the names, besides localhost and the addresses of loopback, that the
	// page may be asked for by: without a port, as in a URL.
	Hosts []string
}

func (c Config) validate() error {
	var errs []error
	if c.Every < 0 {
		errs = append(errs, fmt.Errorf("page: Every is %v, want 0 or more", c.Every))
	}
	for i, h := range c.Hosts {
		if h == "" || len(h) > maxHost || strings.ContainsAny(h, "/:[]@*? ") && net.ParseIP(h) == nil {
			errs = append(errs, fmt.Errorf("page: Hosts[%d] is %q, want a name without a port", i, clean(h, 64)))
		}
	}
	return errors.Join(errs...)
}

// A Page is the handler of the page. It may be used by any number of goroutines.
type Page struct {
	src     Source
	every   time.Duration
	hosts   []string
	handler http.Handler

	ending chan struct{} // closed when streams are to end
	ended  chan struct{} // closed when there is none any more

	// mu guards the fields below.
	mu      sync.Mutex
	streams int
	closed  bool
}

// New makes a page of src. It starts nothing; see [Page.Close].
func New(src Source, cfg Config) (*Page, error) {
	if src == nil {
		return nil, errors.New("page: the source is nil")
	}
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	p := &Page{
		src: src, every: cfg.Every, hosts: slices.Clone(cfg.Hosts),
		ending: make(chan struct{}), ended: make(chan struct{}),
	}
	if p.every == 0 {
		p.every = usualEvery
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", p.show)
	mux.HandleFunc("GET /events", p.stream)
	mux.HandleFunc("POST /inject", p.inject)
	protection := http.NewCrossOriginProtection()
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "this comes from another page, and is not done", http.StatusForbidden)
	}))
	p.handler = protection.Handler(mux)
	return p, nil
}

// ServeHTTP answers a request.
func (p *Page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	if !p.known(r.Host) {
		http.Error(w, fmt.Sprintf("there is no page for the host %q, only for localhost", clean(r.Host, 64)), http.StatusMisdirectedRequest)
		return
	}
	p.handler.ServeHTTP(w, r)
}

// known reports whether the page may be asked for by host, with a port or without.
func (p *Page) known(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsLoopback() {
		return true
	}
	return slices.ContainsFunc(p.hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

// show answers with the whole page.
func (p *Page) show(w http.ResponseWriter, _ *http.Request) {
	text := document(p.src.View())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(text) // to who may have gone away
}

// inject does what a button says. The script of the page asks for plain text and
// gets the outcome; a form is sent back to the page, where the outcome is seen.
func (p *Page) inject(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	if err := r.ParseForm(); err != nil {
		status := http.StatusBadRequest
		if tooLong := (*http.MaxBytesError)(nil); errors.As(err, &tooLong) {
			status = http.StatusRequestEntityTooLarge
		}
		http.Error(w, "the form cannot be read: "+clean(err.Error(), 200), status)
		return
	}
	fault, to := Fault(r.PostForm.Get("fault")), r.PostForm.Get("instance")
	if !slices.Contains(faults, fault) {
		http.Error(w, fmt.Sprintf("fault is %q, want one of %q", clean(string(fault), 64), faults), http.StatusBadRequest)
		return
	}
	i, ok := find(p.src.View(), to)
	switch {
	case !ok:
		http.Error(w, fmt.Sprintf("instance is %q, and there is none with that ID", clean(to, 64)), http.StatusBadRequest)
		return
	case !slices.Contains(i.Faults, fault):
		http.Error(w, fmt.Sprintf("%s is not to be had of %s now", faultWords[fault].button, clean(i.ID, 64)), http.StatusConflict)
		return
	}
	if err := p.src.Inject(fault, i.ID); err != nil {
		http.Error(w, fmt.Sprintf("%s: %s", clean(i.ID, 64), clean(err.Error(), 300)), http.StatusConflict)
		return
	}
	if r.Header.Get("Accept") == "text/plain" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		fmt.Fprintf(w, "%s %s", clean(i.ID, 64), faultWords[fault].outcome)
		return
	}
	w.Header().Set("Location", "./")
	w.WriteHeader(http.StatusSeeOther)
}

// find is the instance that a form means.
func find(v View, to string) (Instance, bool) {
	for _, s := range v.Services {
		for _, i := range s.Instances {
			if formName(i.ID) == to {
				return i, true
			}
		}
	}
	return Instance{}, false
}

// Close ends all streams and waits until they have ended, or ctx has: then the
// error is its cause. There are no streams from then on; the rest of the page
// works. A server that is shut down waits for streams, so close the page first.
func (p *Page) Close(ctx context.Context) error {
	p.mu.Lock()
	if !p.closed {
		p.closed = true
		close(p.ending)
		if p.streams == 0 {
			close(p.ended)
		}
	}
	p.mu.Unlock()
	select {
	case <-p.ended:
		return nil
	default:
	}
	select {
	case <-p.ended:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enter reports whether a stream may begin; if so, leave follows.
func (p *Page) enter() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.streams++
	return true
}

func (p *Page) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.streams--
	if p.closed && p.streams == 0 {
		close(p.ended)
	}
}
