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
func (s *Service) Name() string {
	if s == nil {
		panic(errZeroService)
	}
	return s.name
}

// Clock is the clock of the registry; nil: system time.
func (s *Service) Clock() Clock {
	if s == nil || s.reg == nil {
		panic(errZeroService)
	}
	return s.reg.cfg.Clock
}

// Err is why the service will never have an instance: an [*Error] if no service
// can have its name, ErrClosed once the registry is closed, else nil.
func (s *Service) Err() error {
	switch {
	case s == nil || s.reg == nil:
		return errZeroService
	case !validName(s.name):
		p := problems{&fieldError{"Service", s.name, nameRule}}
		return p.of(OpWatch, s.name, "")
	case s.reg.closed.Load():
		return ErrClosed
	}
	return nil
}

// Get returns the endpoint with an ID, if there is one now.
func (s *Service) Get(id string) (*Endpoint, bool) { return s.Snapshot().Get(id) }

// Snapshot is the instances now. It allocates nothing, takes no lock unless
// something has to expire, and reads no clock if no instance has a TTL.
func (s *Service) Snapshot() *Snapshot {
	if s == nil {
		panic(errZeroService)
	}
	// Which instant a view is good until has to be that of this view. Writers lower
	// due before they store a view that needs it, so due is read after the view. But
	// they raise it after they have stored a view without what has expired: somebody
	// who read the view before that and due after it would take what has expired for
	// good. So the view has to be the same still.
	if r := s.cur.Load(); r != nil {
		if v := r.view.Load(); v != nil && r.due.Load() == never && r.view.Load() == v {
			return v
		}
	}
	return s.current()
}

// current is Snapshot for services whose roster is not known or has terms.
//
// The index must not go back from one read to the next. Without a roster it is
// that of the latest release, if this is the same before and after the look for
// a roster: whoever makes one reads it later. A roster without a view is being
// made, or was just released, and the next look finds what has come of it.
func (s *Service) current() *Snapshot {
	if s.reg == nil {
		panic(errZeroService)
	}
	for {
		absent := s.reg.absent.Load()
		r := s.roster()
		if r == nil {
			if s.reg.absent.Load() == absent {
				return absent
			}
			continue
		}
		v := r.view.Load()
		if v == nil {
			r.settled()
			continue
		}
		due := r.due.Load()
		late := due != never && s.reg.schedule.now() >= due
		if late && !s.reg.closed.Load() { // when it is closed nothing expires any more
			r.expire(another)
			continue
		}
		if r.view.Load() == v {
			return v
		}
	}
}

// settled waits for who makes or releases the roster.
func (r *roster) settled() {
	r.mu.Lock()
	defer r.mu.Unlock()
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
