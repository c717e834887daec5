package registryhttp

import (
	"crypto/tls"
	"net/http"
	"sync"
	"time"
)

// tlsNames are clones of Base for instances whose certificates are for another
// name than their address. One transport cannot do it: the name is in its
// TLSClientConfig, and its connections are kept by address.
type tlsNames struct {
	base *http.Transport // nil: Base is of another type
	most int             // negative: no limit

	mu     sync.Mutex
	clones map[string]*clone
	clock  uint64 // counts uses
}

type clone struct {
	rt   *http.Transport
	used uint64 // when last
	uses int    // under way
	out  bool   // it has made room for another one
}

func (t *tlsNames) init(base http.RoundTripper, most int) {
	t.base, _ = base.(*http.Transport)
	t.most = most
	if most == 0 {
		t.most = defaultMaxTLSNames
	}
	t.clones = make(map[string]*clone)
}

// of is the clone for a name, until left; nil if there cannot be one.
func (t *tlsNames) of(name string) *clone {
	if t.base == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.clock++
	c := t.clones[name]
	if c == nil {
		t.makeRoom()
		c = &clone{rt: cloneFor(t.base, name)}
		t.clones[name] = c
	}
	c.used = t.clock
	c.uses++
	return c
}

// lingering is how long the end of a body may be seen before its connection is
// idle.
const lingering = 100 * time.Millisecond

// left tells that a use of a clone is over. One that has made room has nobody
// else to close the connection that is about to be idle.
func (t *tlsNames) left(c *clone) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.uses--
	if c.out && c.uses == 0 {
		afterFunc(nil, lingering, c.rt.CloseIdleConnections) // in real time: it is about a connection
	}
}

// makeRoom drops the clone that was not used for longest, if there are too many.
// Who is using it goes on; idle connections are closed, the last ones by left.
func (t *tlsNames) makeRoom() {
	if t.most < 0 || len(t.clones) < t.most {
		return
	}
	oldest := ""
	for name, c := range t.clones {
		if oldest == "" || c.used < t.clones[oldest].used {
			oldest = name
		}
	}
	t.clones[oldest].out = true
	t.clones[oldest].rt.CloseIdleConnections()
	delete(t.clones, oldest)
}

// cloneFor is a clone of a transport for one TLS name.
func cloneFor(base *http.Transport, name string) *http.Transport {
	rt := base.Clone()
	if rt.TLSClientConfig == nil {
		rt.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	// With a TLSClientConfig a transport does not speak HTTP/2 unless it is told
	// to, also if Base made that itself because it does.
	if _, ok := base.TLSNextProto["h2"]; ok && rt.TLSNextProto == nil {
		rt.ForceAttemptHTTP2 = true
	}
	rt.TLSClientConfig.ServerName = name
	return rt
}

func (t *tlsNames) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.clones {
		c.rt.CloseIdleConnections()
	}
}

// defaultBase is a clone of http.DefaultTransport, unless somebody has replaced
// that by something else.
func defaultBase() http.RoundTripper {
	if rt, ok := http.DefaultTransport.(*http.Transport); ok {
		return rt.Clone()
	}
	return http.DefaultTransport
}
