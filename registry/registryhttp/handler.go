package registryhttp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/registry"
)

// HandlerConfig says when a process is ready. It is passed by value, copied, and
// never changed later. The zero HandlerConfig is valid: always.
type HandlerConfig struct {
	// Require are services that need a usable instance, one that is picked.
	Require []string

	// Leases are the registrations of this process. It is not ready once one of
	// them is Draining, Down or lost, so that load balancers outside leave before
	// the instance does.
	Leases []*registry.Lease

	// Checks have to return nil. They run at the same time, each once for all
	// requests that ask meanwhile, with a context that ends after Timeout.
	Checks map[string]func(ctx context.Context) error

	// Timeout is for all Checks together, in real time: what has not returned by
	// then has failed. Zero: 2s. Negative: none.
	Timeout time.Duration
}

const defaultReadyTimeout = 2 * time.Second

// A handler answers /healthz and /readyz.
type handler struct {
	reg *registry.Registry
	cfg HandlerConfig

	mu   sync.Mutex
	runs map[string]*checkRun // under way, by name
}

// NewHandler makes a handler for health checks from outside.
//
// GET /healthz is 200 as long as the process can answer at all. GET /readyz is
// 200 if all is as [HandlerConfig] wants it, else 503. The body is a JSON object
// with "status" ("ok", "ready" or "unready") and, of /readyz, "problems": an
// object from what is wrong ("service orders", "lease orders 10.0.0.7:8080",
// "check db") to why; it is for operators, so do not offer it to the world.
// Nothing is cached.
func NewHandler(r *registry.Registry, cfg HandlerConfig) (http.Handler, error) {
	if r == nil {
		return nil, errNilRegistry
	}
	var errs []error
	for i, name := range cfg.Require {
		if err := r.Service(name).Err(); err != nil && !errors.Is(err, registry.ErrClosed) {
			errs = append(errs, fmt.Errorf("registryhttp: NewHandler: Require[%d]: %w", i, err))
		}
	}
	for i, l := range cfg.Leases {
		if l == nil {
			errs = append(errs, fmt.Errorf("registryhttp: NewHandler: Leases[%d] is nil, want a lease", i))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(cfg.Checks)) {
		if cfg.Checks[name] == nil {
			errs = append(errs, fmt.Errorf("registryhttp: NewHandler: Checks[%q] is nil, want a function", name))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = defaultReadyTimeout
	}
	cfg.Require, cfg.Leases, cfg.Checks = slices.Clone(cfg.Require), slices.Clone(cfg.Leases), maps.Clone(cfg.Checks)
	h := &handler{reg: r, cfg: cfg, runs: make(map[string]*checkRun)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, report{Status: "ok"})
	})
	mux.HandleFunc("GET /readyz", h.ready)
	return mux, nil
}

// A report is the body of an answer.
type report struct {
	Status   string            `json:"status"`
	Problems map[string]string `json:"problems,omitempty"`
}

func answer(w http.ResponseWriter, code int, r report) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(r) // whoever asked has gone away
}

func (h *handler) ready(w http.ResponseWriter, req *http.Request) {
	problems := h.check(req.Context())
	h.services(problems)
	h.leases(problems) // last, since a drain may have begun meanwhile
	if len(problems) > 0 {
		answer(w, http.StatusServiceUnavailable, report{"unready", problems})
		return
	}
	answer(w, http.StatusOK, report{Status: "ready"})
}

func (h *handler) services(problems map[string]string) {
	for _, name := range h.cfg.Require {
		if !h.usable(name) {
			problems["service "+name] = "no usable instance"
		}
	}
}

func (h *handler) usable(service string) bool {
	for e := range h.reg.Service(service).Snapshot().All() {
		if e.Health().Usable() && e.Weight() > 0 {
			return true
		}
	}
	return false
}

func (h *handler) leases(problems map[string]string) {
	for _, l := range h.cfg.Leases {
		e := l.Endpoint()
		h.reg.Service(e.Service()).Snapshot() // expires what is due
		key := "lease " + e.Service() + " " + e.ID()
		select {
		case <-l.Done():
			problems[key] = "ended"
		default:
			if e.Health() >= registry.Draining {
				problems[key] = e.Health().String()
			}
		}
	}
}

// check runs the checks and returns what is wrong.
func (h *handler) check(ctx context.Context) map[string]string {
	if h.cfg.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, h.cfg.Timeout, errors.New("timed out"))
		defer cancel()
	}
	running := make(map[string]*checkRun, len(h.cfg.Checks))
	for name, fn := range h.cfg.Checks {
		running[name] = h.join(ctx, name, fn)
	}
	problems := make(map[string]string)
	for name, run := range running {
		var err error
		select {
		case <-run.done:
			err = run.err
		case <-ctx.Done():
			select {
			case <-run.done: // in time, but looked at late
				err = run.err
			default:
				err = context.Cause(ctx)
			}
		}
		if err != nil {
			problems["check "+name] = err.Error()
		}
	}
	return problems
}

// A checkRun is one call of a check, for all requests that ask meanwhile. They
// wait for one channel: while a check hangs, and is asked about again and again,
// nothing may pile up.
type checkRun struct {
	done chan struct{}
	err  error // written before done is closed
}

// join returns the run of a check that is under way, or begins one. Its context
// has the values of that of the request which came first, but not its end.
func (h *handler) join(ctx context.Context, name string, fn func(context.Context) error) *checkRun {
	h.mu.Lock()
	defer h.mu.Unlock()
	if run := h.runs[name]; run != nil {
		return run
	}
	run := &checkRun{done: make(chan struct{}), err: errors.New("runtime.Goexit was called")}
	h.runs[name] = run
	go func() {
		defer func() {
			if v := recover(); v != nil {
				run.err = fmt.Errorf("panic: %v", v)
			}
			h.mu.Lock()
			delete(h.runs, name)
			h.mu.Unlock()
			close(run.done)
		}()
		ctx := context.WithoutCancel(ctx)
		if h.cfg.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, h.cfg.Timeout)
			defer cancel()
		}
		run.err = fn(ctx)
	}()
	return run
}
