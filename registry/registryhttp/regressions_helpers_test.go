package registryhttp_test

import (
	"net/http"
	"net/http/httputil"
)

func proxyTo(host string, rt http.RoundTripper) http.Handler {
	return &httputil.ReverseProxy{Transport: rt, Rewrite: func(p *httputil.ProxyRequest) {
		p.Out.URL.Scheme, p.Out.URL.Host = "http", host
	}}
}
