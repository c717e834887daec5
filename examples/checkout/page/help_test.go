package page_test

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

func newPage(t *testing.T, src page.Source, cfg page.Config) *page.Page {
	t.Helper()
	p, err := page.New(src, cfg)
	require.NoError(t, err)
	return p
}

// request is one from a browser on this machine.
func request(t *testing.T, method, path, body string) *http.Request {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost:8080"+path, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	return r
}

func serve(p http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	p.ServeHTTP(w, r)
	return w
}

// whole is the page as it is loaded.
func whole(t *testing.T, p *page.Page) string {
	t.Helper()
	w := serve(p, request(t, http.MethodGet, "/", ""))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

func form(fault page.Fault, instance string) string {
	return url.Values{"fault": {string(fault)}, "instance": {instance}}.Encode()
}

// A piece is one of a message.
type piece struct{ ID, Key, HTML string }

// A message is what a client got at once.
type message struct {
	at     time.Duration // since the client came
	text   string
	pieces []piece
}

func (m message) ids() []string {
	var ids []string
	for _, p := range m.pieces {
		ids = append(ids, p.ID)
	}
	return ids
}

func (m message) html(id string) string {
	for _, p := range m.pieces {
		if p.ID == id {
			return p.HTML
		}
	}
	return ""
}

// A client is a ResponseWriter that writes down what it gets, inside a bubble.
type client struct {
	began  time.Time
	header http.Header
	stop   context.CancelFunc // leaves
	done   chan struct{}      // closed when the handler has returned

	mu       sync.Mutex
	slow     time.Duration // what a message takes
	broken   error         // what Flush says
	messages []message
	flushed  int
	deadline time.Time
}

// visit is a client of the stream of p, once it has what there is at first.
func visit(t *testing.T, p http.Handler) *client {
	t.Helper()
	c := &client{began: time.Now(), header: make(http.Header), done: make(chan struct{})}
	c.start(t, p)
	return c
}

func (c *client) start(t *testing.T, p http.Handler) {
	t.Helper()
	r := request(t, http.MethodGet, "/events", "")
	ctx, stop := context.WithCancel(r.Context())
	c.stop = stop
	go func() {
		defer close(c.done)
		p.ServeHTTP(c, r.WithContext(ctx))
	}()
}

func (c *client) Header() http.Header { return c.header }
func (c *client) WriteHeader(int)     {}

func (c *client) Write(text []byte) (int, error) {
	c.mu.Lock()
	slow := c.slow
	c.mu.Unlock()
	time.Sleep(slow)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.messages = append(c.messages, message{at: time.Since(c.began), text: string(text)})
	return len(text), nil
}

func (c *client) FlushError() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.flushed++
	return c.broken
}

func (c *client) SetWriteDeadline(at time.Time) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = at
	return nil
}

func (c *client) set(slow time.Duration, broken error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slow, c.broken = slow, broken
}

// take is what has come since it was called last.
func (c *client) take(t *testing.T) []message {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	all := c.messages
	c.messages = nil
	for i, m := range all {
		all[i].pieces = parse(t, m.text)
	}
	return all
}

// parse reads an event; the first one has no pieces.
func parse(t *testing.T, text string) []piece {
	t.Helper()
	if text == "retry: 1000\n\n" {
		return nil
	}
	data, ok := strings.CutPrefix(text, "data: ")
	require.True(t, ok, "%.40q", text)
	data, ok = strings.CutSuffix(data, "\n\n")
	require.True(t, ok)
	require.NotContains(t, data, "\n")
	var all []piece
	require.NoError(t, json.Unmarshal([]byte(data), &all))
	assert.NotEmpty(t, all)
	return all
}
