package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/registry"
	"github.com/mainstay-go/mainstay/registry/registryhttp"
)

// A shop is everybody: four services, what connects them, and who listens.
type shop struct {
	script    script
	tempo     tempo
	topics    *topics
	board     *board
	audit     *os.File
	subs      *subscribers
	reg       *registry.Registry
	breakers  *breaker.Group[string] // by address
	transport *registryhttp.Transport
	databases map[string]*database // by service
	counters  []*counter
	servers   []*server
	office    *orderService
	traffic   *traffic
	customer  caller

	fate sync.Mutex // is held by who strikes or heals a server
	over bool       // nobody is struck any more; guarded by fate

	ticks chan struct{}  // closed when nothing is counted any more
	runs  sync.WaitGroup // what the shop does by itself
}

// newShop makes everybody, and starts nobody but those who listen.
func newShop(ctx context.Context, s script, t tempo, dir string, say func(time.Duration, string)) (_ *shop, err error) {
	sh := &shop{
		script: s, tempo: t, topics: newTopics(), databases: make(map[string]*database),
		traffic: newTraffic(), ticks: make(chan struct{}),
	}
	if sh.audit, err = os.Create(filepath.Join(dir, "audit.log")); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, sh.topics.bus.Close(context.WithoutCancel(ctx)), sh.audit.Close())
		}
	}()
	// Those who listen do so until the bus closes: they have to hear how it ends.
	if sh.subs, err = subscribe(context.WithoutCancel(ctx), sh.topics, s, t, sh.audit); err != nil {
		return nil, err
	}
	base := &http.Transport{MaxIdleConnsPerHost: 64}
	// Nobody needs the connections to an instance that is gone. If it is about to stop,
	// it waits for those that have not been used yet.
	if sh.reg, err = registry.New(registry.Config{Hooks: sh.topics.registryHooks(base.CloseIdleConnections)}); err != nil {
		return nil, err
	}
	sh.breakers, err = breaker.NewGroup(breaker.GroupConfig[string]{Config: breakerConfig(t, sh.topics.breakerHooks())})
	if err != nil {
		return nil, err
	}
	if sh.transport, err = newTransport(base, sh.reg, sh.breakers, t, s.random("balancer")); err != nil {
		return nil, err
	}
	sh.customer = caller{&http.Client{Transport: sh.transport}} // without a Timeout: contexts of steps have one
	def := checkout(buyer{sh.customer}, t)
	sh.board = newBoard(def.Plan(), say)
	asker := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for _, service := range services {
		sh.databases[service.name] = newDatabase()
		for n := range service.instances {
			server := &server{id: instanceID(service.name, n+1), service: service.name, reg: sh.reg, tempo: t, asker: asker}
			c := &counter{
				service: service, database: sh.databases[service.name], script: s, tempo: t,
				suffers: server.suffers, visits: make(map[fault]int),
			}
			server.handler = c.handler
			sh.servers = append(sh.servers, server)
			sh.counters = append(sh.counters, c)
		}
	}
	sh.office = &orderService{
		dir: filepath.Join(dir, "journal"), def: def, topics: sh.topics, tempo: t, random: s.random("jitter"),
		orders: make(map[string]Order),
		server: &server{id: instanceID(office, 1), service: office, reg: sh.reg, tempo: t, asker: asker},
	}
	sh.office.server.handler = sh.office.handler
	sh.servers = append(sh.servers, sh.office.server)
	return sh, os.MkdirAll(sh.office.dir, 0o755)
}

// open starts everybody, the order service last.
func (s *shop) open(ctx context.Context) error {
	if err := s.board.listen(context.WithoutCancel(ctx), s.topics.bus); err != nil {
		return err
	}
	for _, server := range s.servers {
		if server != s.office.server {
			if err := server.start(ctx); err != nil {
				return fmt.Errorf("%s: %w", server.id, err)
			}
		}
	}
	if err := s.office.open(ctx); err != nil {
		return fmt.Errorf("%s: %w", s.office.server.id, err)
	}
	s.runs.Go(s.count)
	return nil
}

// close ends everybody: who calls before who is called, and the bus last, so that the
// end of the others is told.
func (s *shop) close(ctx context.Context) error {
	close(s.ticks)
	s.runs.Wait()
	errs := []error{s.office.close(ctx)}
	for _, server := range s.servers {
		errs = append(errs, server.leave(ctx))
	}
	return errors.Join(append(errs, s.reg.Close(ctx), s.topics.bus.Close(ctx), s.audit.Close())...)
}

// count samples the traffic until the shop closes, and tells now and then how far all
// is.
func (s *shop) count() {
	ticker := time.NewTicker(s.tempo.part(0.0125, 25*time.Millisecond))
	defer ticker.Stop()
	const seldom = 8
	for n := 1; ; n++ {
		select {
		case <-ticker.C:
		case <-s.ticks:
			return
		}
		var counts []count
		for name := range s.reg.Services() {
			for e := range s.reg.Service(name).Snapshot().All() {
				counts = append(counts, count{name, e.ID(), e.Picks()})
			}
		}
		s.traffic.sample(counts)
		if n%seldom == 0 {
			s.board.tellProgress()
		}
	}
}

// names are the services, the order service first.
func (s *shop) names() []string {
	names := []string{office}
	for _, service := range services {
		names = append(names, service.name)
	}
	return names
}
