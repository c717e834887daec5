package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

// find is the server with an ID.
func (s *shop) find(id string) *server {
	i := slices.IndexFunc(s.servers, func(server *server) bool { return server.id == id })
	if i < 0 {
		return nil
	}
	return s.servers[i]
}

// note is what is wrong now, in words.
func (s *shop) note() string {
	var all []string
	for _, server := range s.servers {
		if text := symptom(server.suffers()); text != "" {
			all = append(all, server.id+" "+text)
		}
	}
	return strings.Join(all, ", ")
}

func symptom(f fault) string {
	return map[fault]string{
		slow: "is slow", late: "answers late", storm: "is overloaded", kill: "is dead",
	}[f]
}

var (
	errNoInstance = errors.New("no such instance")
	errDead       = errors.New("it is dead")
	errOver       = errors.New("the shop closes")
)

// strike does something to a server. What it returns is for relieve.
func (s *shop) strike(server *server, f fault) (*ailment, error) {
	s.fate.Lock()
	defer s.fate.Unlock()
	switch was := server.suffers(); {
	case s.over:
		return nil, errOver
	case was == kill:
		return nil, errDead
	}
	a := &ailment{f}
	server.ailment.Store(a)
	switch {
	case f != kill:
	case server == s.office.server:
		s.office.crash()
	default:
		server.kill()
	}
	s.topics.tell(server.id+" "+symptom(f), true)
	return a, nil
}

// relieve takes an ailment away, and starts what has died of it. It does nothing if
// that was done already, or if the server suffers from another one meanwhile: somebody
// has healed it by hand, and perhaps struck it again.
func (s *shop) relieve(ctx context.Context, server *server, a *ailment) error {
	s.fate.Lock()
	defer s.fate.Unlock()
	if server.ailment.Load() != a {
		return nil
	}
	return s.cure(ctx, server)
}

// heal takes away whatever a server suffers from.
func (s *shop) heal(ctx context.Context, server *server) error {
	s.fate.Lock()
	defer s.fate.Unlock()
	return s.cure(ctx, server)
}

// cure is heal; fate is held.
func (s *shop) cure(ctx context.Context, server *server) error {
	start := server.start
	if server == s.office.server {
		start = s.office.open
	}
	if err := start(ctx); err != nil {
		err = fmt.Errorf("%s: %w", server.id, err)
		s.topics.tell(err.Error(), true)
		return err
	}
	if server.ailment.Swap(nil) != nil {
		s.topics.tell(server.id+" is well again", false)
	}
	return nil
}

// healAll heals everybody. Nobody is struck after that.
func (s *shop) healAll(ctx context.Context) error {
	s.fate.Lock()
	defer s.fate.Unlock()
	s.over = true
	var errs []error
	for _, server := range s.servers {
		errs = append(errs, s.cure(ctx, server))
	}
	return errors.Join(errs...)
}

// Inject is what the buttons of the page do. What they do lasts for some time.
func (s *shop) Inject(f page.Fault, instance string) error {
	server := s.find(instance)
	switch {
	case server == nil:
		return errNoInstance
	case f == page.Heal:
		return s.heal(context.Background(), server)
	case f != page.Kill && (f != page.Slow && f != page.Storm || server == s.office.server):
		return fmt.Errorf("%s cannot be hit by %q", instance, f)
	}
	a, err := s.strike(server, fault(f))
	if err != nil {
		return fmt.Errorf("%s: %w", instance, err)
	}
	lasts := s.tempo.hold()
	if f == page.Kill {
		lasts = s.tempo.down()
	}
	s.runs.Go(func() {
		for pause(lasts, s.ticks) && s.relieve(context.Background(), server, a) != nil {
			// It could not be started: perhaps the disk has room the next time.
		}
	})
	return nil
}
