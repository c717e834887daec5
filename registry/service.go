package registry

import "sync/atomic"

// A Service is a handle to a service. It is valid before the service has an
// instance, after it has none any more, and when it has some again. It is safe
// for concurrent use.
type Service struct {
	reg  *Registry
	name string
	cur  atomic.Pointer[roster] // the last one seen; it may have been released
}

// Name is the name of the service.
func (s *Service) Name() string { return s.name }

// Clock is the clock of the registry; nil: system time.
func (s *Service) Clock() Clock { return s.reg.cfg.Clock }

// Err is ErrClosed once the registry is closed, else nil.
func (s *Service) Err() error {
	if s.reg.closed.Load() {
		return ErrClosed
	}
	return nil
}

// Get returns the endpoint with an ID, if there is one now.
func (s *Service) Get(id string) (*Endpoint, bool) { return s.Snapshot().Get(id) }

// Snapshot is the instances now. It takes no lock, allocates nothing and, if no
// instance has a TTL, reads no clock.
func (s *Service) Snapshot() *Snapshot {
	if r := s.cur.Load(); r != nil {
		if v := r.view.Load(); v != nil && r.due.Load() == never {
			return v
		}
	}
	return s.current()
}

// current is Snapshot for services whose roster is not known or has terms.
//
// A roster without a view is being made or was just released. In either case
// there was an instant since the call began at which the name had no instance,
// and that is what is told.
func (s *Service) current() *Snapshot {
	r := s.roster()
	if r == nil {
		return s.reg.absent.Load()
	}
	if due := r.due.Load(); due != never && s.reg.schedule.now() >= due {
		r.expire(another)
	}
	if v := r.view.Load(); v != nil {
		return v
	}
	return s.reg.absent.Load()
}

// roster is that of the name now, or nil.
func (s *Service) roster() *roster {
	if r := s.cur.Load(); r != nil && r.view.Load() != nil {
		return r
	}
	v, ok := s.reg.rosters.Load(s.name)
	if !ok {
		return nil
	}
	r := v.(*roster)
	s.cur.Store(r)
	return r
}
