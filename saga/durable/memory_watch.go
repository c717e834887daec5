package durable

import "context"

// Watch is [Watcher.Watch]. It tells when a run comes due earlier than was known,
// also by the end of a lease; that the time has come, Claim has told before, and
// nobody tells it again. The channel has room for one hint, is never closed, and is
// forgotten when ctx ends.
func (s *MemoryStore) Watch(ctx context.Context) (<-chan struct{}, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	hints := make(chan struct{}, 1)
	s.mu.Lock()
	if s.watchers == nil {
		s.watchers = make(map[chan struct{}]struct{})
	}
	s.watchers[hints] = struct{}{}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.watchers, hints)
	})
	return hints, nil
}

// tell sends a hint to those who have none yet. mu is held.
func (s *MemoryStore) tell() {
	for hints := range s.watchers {
		select {
		case hints <- struct{}{}:
		default:
		}
	}
}
