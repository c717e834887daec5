package registryhttp

import (
	"net/http"
	"strings"

	"github.com/mainstay-go/mainstay/registry/balance"
)

// TransportConfig says how a [Transport] sends requests to services. It is
// passed by value, copied, and never changed later. The zero TransportConfig is
// valid.
type TransportConfig struct {
	// Base makes the round trips. Nil: a clone of http.DefaultTransport. If it
	// has a DialTLSContext of its own, it is up to that to look at names.
	Base http.RoundTripper

	// MaxTLSNames is how many clones of Base are kept for instances with a
	// ServerName, one per name; the one that was not used for longest makes room.
	// Zero: 64. Negative: no limit.
	MaxTLSNames int

	// ServiceOf names the service of a request; "" sends it to Base as it is. It
	// must be safe for concurrent use and must not change the request. Nil: the
	// URL's host as it is written, if it has no port, no dot and is not
	// "localhost".
	ServiceOf func(*http.Request) string

	// Balancer says how endpoints are chosen. Its zero fields mean here: Policy
	// balance.PeakEWMA{}, Outlier &balance.Outlier{} (for none, one with Consecutive
	// -1), IsFailure and Retry.If as told at [StatusError].
	Balancer balance.Config

	// PerService says it for one service. It is called once for each, and must
	// be safe for concurrent use. Nil: Balancer is for all.
	PerService func(service string) balance.Config

	// Key is the Query.Key of a request, for balance.ConsistentHash. It must be
	// safe for concurrent use and must not change the request. Nil: no key.
	Key func(*http.Request) uint64

	// KeepHost leaves the Host header as it is. By default it becomes the
	// ServerName of the instance, or its Addr, unless the caller has set
	// Request.Host to something else than the URL's host.
	KeepHost bool
}

const defaultMaxTLSNames = 64

// withDefaults is a config of a balancer as it is meant here.
func withDefaults(cfg balance.Config) balance.Config {
	if cfg.Policy == nil {
		cfg.Policy = balance.PeakEWMA{}
	}
	o := balance.Outlier{}
	if cfg.Outlier != nil {
		o = *cfg.Outlier // the caller's may change
	}
	cfg.Outlier = &o
	if cfg.IsFailure == nil {
		cfg.IsFailure = isFailure
	}
	if cfg.Retry.If == nil {
		cfg.Retry.If = isTransient
	}
	return cfg
}

// serviceOf is the default of ServiceOf.
func serviceOf(req *http.Request) string {
	if strings.ContainsAny(req.URL.Host, ".:") || strings.EqualFold(req.URL.Host, "localhost") {
		return ""
	}
	return req.URL.Host
}
