package registryhttp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"

	"github.com/mainstay-go/mainstay/registry"
)

// HTTPCheckConfig says how [HTTPCheck] asks an instance. It is passed by value,
// copied, and never changed later. The zero HTTPCheckConfig is valid.
type HTTPCheckConfig struct {
	// Path is the path of the URL, with a query if there is a '?' in it. One that
	// does not parse fails every check. Empty: "/healthz".
	Path string

	// Client makes the requests. Nil: one that follows no redirect, keeps no
	// connection, and uses the ServerName of the instance for TLS.
	Client *http.Client

	// Expect judges the response; it need not read or close the body. Nil: 2xx
	// passes, 429 is a warning, everything else fails.
	Expect func(*http.Response) error
}

// HTTPCheck is a registry.Check.Func that gets a URL of the instance: Scheme, or
// "http", Addr, and Path. The Host header is the ServerName, or Addr.
func HTTPCheck(cfg HTTPCheckConfig) func(context.Context, registry.Instance) error {
	if cfg.Path == "" {
		cfg.Path = "/healthz"
	}
	if cfg.Expect == nil {
		cfg.Expect = expectOK
	}
	return func(ctx context.Context, in registry.Instance) error {
		u, err := checkURL(in, cfg.Path)
		if err != nil {
			return err
		}
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u, http.NoBody)
		if err != nil {
			return fmt.Errorf("registryhttp: check: %w", err)
		}
		if in.ServerName != "" {
			req.Host = in.ServerName
		}
		client := cfg.Client
		if client == nil {
			rt := checkTransport(in.ServerName)
			defer rt.CloseIdleConnections()
			client = &http.Client{Transport: rt, CheckRedirect: lastResponse}
		}
		resp, err := client.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return cfg.Expect(resp)
	}
}

func checkURL(in registry.Instance, path string) (string, error) {
	ref, err := url.Parse(path)
	if err != nil {
		return "", fmt.Errorf("registryhttp: check: Path is %q, want a path: %w", path, err)
	}
	u := url.URL{Scheme: "http", Host: in.Addr, Path: ref.Path, RawPath: ref.RawPath, RawQuery: ref.RawQuery}
	if in.Scheme != "" {
		u.Scheme = in.Scheme
	}
	return u.String(), nil
}

// checkTransport is for one request: whether a new connection can be made is
// part of the question, and the certificate may be for another name next time.
func checkTransport(serverName string) *http.Transport {
	rt, ok := defaultBase().(*http.Transport)
	if !ok {
		rt = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	rt.DisableKeepAlives = true
	if serverName != "" {
		rt = cloneFor(rt, serverName)
	}
	return rt
}

func lastResponse(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func expectOK(resp *http.Response) error {
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests:
		return registry.Warn(errors.New("registryhttp: check: status 429 Too Many Requests"))
	}
	return fmt.Errorf("registryhttp: check: status %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
}

// TCPCheck is a registry.Check.Func that makes a connection to Addr and closes
// it. A nil dialer is the zero net.Dialer.
func TCPCheck(d *net.Dialer) func(context.Context, registry.Instance) error {
	if d == nil {
		d = new(net.Dialer)
	}
	return func(ctx context.Context, in registry.Instance) error {
		conn, err := d.DialContext(ctx, "tcp", in.Addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
}
