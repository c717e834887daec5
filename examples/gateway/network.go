package main

import (
	"context"
	"net"
	"net/http"
)

// A network is where servers listen and how clients reach them. That of the tests
// is in memory.
type network struct {
	listen func(context.Context) (net.Listener, error)
	dial   func(ctx context.Context, network, addr string) (net.Conn, error)
}

// loopback is the network of this machine.
func loopback() network {
	return network{
		listen: func(ctx context.Context) (net.Listener, error) {
			return (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		},
		dial: new(net.Dialer).DialContext,
	}
}

// transport makes what a client with many calls to few hosts needs. The default
// would keep two connections to each of them and close the others.
func (n network) transport() *http.Transport {
	return &http.Transport{DialContext: n.dial, MaxIdleConnsPerHost: 64}
}

// asker is a client for questions about health: whether a connection can be made
// is a part of them.
func (n network) asker() *http.Client {
	return &http.Client{Transport: &http.Transport{DialContext: n.dial, DisableKeepAlives: true}}
}
