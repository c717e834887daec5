package registry

// Stats are numbers about a registry, for metrics.
type Stats struct {
	Services  int    // with an instance
	Instances int    // of all services
	Leases    int    // instances with a TTL, those of feeds included
	Held      int    // instances kept as Stale
	Watchers  int    // Watch and Wait calls under way
	Checks    int    // instances with a health check
	Feeds     int    // Feed and Sync calls under way
	Index     uint64 // the latest of all services
	Panics    uint64 // contained panics and Goexits of functions handed to the registry
}

// Stats is a picture of now. It is consistent for each service, not between
// them.
func (r *Registry) Stats() Stats {
	r.must()
	s := Stats{
		Watchers: int(r.watchers.Load()),
		Checks:   int(r.checkers.Load()),
		Feeds:    r.feeds.len(),
		Index:    r.index.Load(),
		Panics:   r.panics.Load(),
	}
	for ro := range r.all {
		n := ro.handle.Snapshot().Len() // expires what is due
		if n > 0 {
			s.Services++
			s.Instances += n
		}
		ro.mu.Lock()
		s.Leases += len(ro.terms.heap) + len(ro.terms.held)
		s.Held += len(ro.terms.held)
		ro.mu.Unlock()
	}
	return s
}
