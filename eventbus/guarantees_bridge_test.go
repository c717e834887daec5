package eventbus_test

import (
	"context"
	"fmt"
	"maps"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

type order struct{ ID int }

func TestG39_TheEnvelopeCrosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, x := newTopic[order](t, eventbus.Config{Source: "/shop"}, eventbus.TopicConfig{Type: "com.example.order"})
		b, y := newTopic[order](t, eventbus.Config{Source: "/billing"}, eventbus.TopicConfig{})
		left, right := links()
		attach(t, a, left, both)
		attach(t, b, right, both)
		synctest.Wait() // both receive
		here, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		there, _ := subscribe(t, y, eventbus.SubscribeConfig[order]{})
		cfg := eventbus.PublishConfig{
			Key: "k", Subject: "s", Header: map[string]string{"traceparent": "00-1"},
			Time: time.Date(1999, 12, 31, 0, 0, 0, 5, time.UTC),
		}
		require.NoError(t, x.PublishWith(bg, cfg, order{7}))
		require.NoError(t, x.PublishWith(bg, eventbus.PublishConfig{ID: "mine"}, order{8}))
		closed(t, a)
		closed(t, b)
		require.Len(t, there.all(), 2)
		for i, e := range there.all() {
			o := here.all()[i]
			assert.Equal(t, o.Data, e.Data)
			assert.Equal(t, o.ID(), e.ID())
			assert.Equal(t, "/shop", e.Source())
			assert.Equal(t, "com.example.order", e.Type())
			assert.True(t, o.Time().Equal(e.Time()), "%v %v", o.Time(), e.Time())
			assert.Equal(t, o.Key(), e.Key())
			assert.Equal(t, o.Subject(), e.Subject())
			assert.Equal(t, maps.Collect(o.Headers()), maps.Collect(e.Headers()))
			assert.EqualValues(t, i+1, left.sent[i].Seq)
			assert.Equal(t, "application/json", left.sent[i].ContentType)
		}
		assert.Equal(t, "mine", there.all()[1].ID())
		assert.Empty(t, right.sent, "nothing goes back")
	})
}

// Two buses bridged both ways, and a ring of three: one event, each bus has it
// once, and it goes round no further.
func TestS43_G39_RingsOfBridges(t *testing.T) {
	for _, n := range []int{2, 3, 5} {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				buses := make([]*eventbus.Bus, n)
				topics := make([]*eventbus.Topic[order], n)
				journals := make([]*journal[order], n)
				for i := range buses {
					buses[i], topics[i] = newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
					journals[i], _ = subscribe(t, topics[i], eventbus.SubscribeConfig[order]{})
				}
				var all []*link
				for i := range buses {
					if n == 2 && i == 1 {
						break
					}
					x, y := links()
					attach(t, buses[i], x, both)
					attach(t, buses[(i+1)%n], y, both)
					all = append(all, x, y)
				}
				synctest.Wait()
				for i := range topics {
					publish(t, topics[i], order{i})
				}
				synctest.Wait()
				for i, j := range journals {
					counts := make(map[int]int)
					for _, o := range j.data() {
						counts[o.ID]++
					}
					assert.Len(t, counts, n, "bus %d", i)
					assert.Len(t, j.data(), n, "bus %d", i)
				}
				for _, l := range all {
					assert.LessOrEqual(t, len(l.sent), n)
				}
				for _, b := range buses {
					closed(t, b)
				}
				for _, l := range all {
					assert.Equal(t, 1, l.closes)
				}
			})
		})
	}
}

// More than two ways between two buses are no loop either, and an event that came
// by one of two bridges goes on by the other.
func TestG39_NotBackByTheBridgeItCameBy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		l1, far1 := links()
		l2, _ := links()
		attach(t, b, l1, both)
		attach(t, b, l2, both)
		synctest.Wait()
		in := eventbus.Encoded{ID: "1", Origin: "elsewhere", Topic: "x", Data: []byte(`{"ID":1}`)}
		require.NoError(t, far1.Forward(bg, in))
		synctest.Wait()
		assert.Equal(t, []order{{1}}, j.data())
		assert.Empty(t, l1.sent)
		require.Len(t, l2.sent, 1)
		assert.Equal(t, "elsewhere", l2.sent[0].Origin)

		// The same event by the other bridge, and again by the same.
		require.NoError(t, l2.arrive(bg, in))
		require.NoError(t, l1.arrive(bg, in))
		// One that another bus calls by the same ID is another.
		in.Origin = "third"
		require.NoError(t, l1.arrive(bg, in))
		synctest.Wait()
		assert.Len(t, j.data(), 2)

		// One without Origin goes on as one of this bus; one without ID is always new.
		require.NoError(t, l1.arrive(bg, eventbus.Encoded{Topic: "x", Data: []byte(`{"ID":2}`)}))
		require.NoError(t, l1.arrive(bg, eventbus.Encoded{Topic: "x", Data: []byte(`{"ID":2}`)}))
		synctest.Wait()
		assert.Len(t, j.data(), 4)
		require.Len(t, l2.sent, 4)
		mine := l2.sent[3]
		assert.NotEmpty(t, mine.Origin)
		assert.NotEmpty(t, mine.ID)
		require.NoError(t, l2.arrive(bg, mine), "accepted, and known already")
		publish(t, x, order{5})
		closed(t, b)
		assert.Len(t, j.data(), 5)
		assert.Equal(t, mine.Origin, l2.sent[4].Origin)
	})
}

func TestG39_WhatCannotBeImported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		s := eventbus.MustNewTopic[order](b, "sync", eventbus.TopicConfig{Sync: true})
		l, _ := links()
		cfg := both
		cfg.Marshal = func(any) ([]byte, error) { return nil, nil }
		cfg.Unmarshal = func(data []byte, _ any) error {
			switch string(data) {
			case "panic":
				panic(assert.AnError)
			case "bad":
				return assert.AnError
			}
			return nil
		}
		attach(t, b, l, cfg)
		synctest.Wait()
		arrive := func(id, topic, data string) error {
			return l.arrive(bg, eventbus.Encoded{ID: id, Topic: topic, Data: []byte(data)})
		}
		require.ErrorIs(t, arrive("1", "unknown", ""), eventbus.ErrNoSubscriber)
		var p *eventbus.PanicError
		require.ErrorAs(t, arrive("2", "x", "panic"), &p)
		require.ErrorIs(t, arrive("3", "x", "bad"), assert.AnError)
		l.mu.Lock()
		deliver := l.deliver[0]
		l.mu.Unlock()
		require.Error(t, deliver(nil, eventbus.Encoded{Topic: "x"}))
		assert.Zero(t, x.Stats().Seq)

		// A Sync handler's failure is that of the delivery, which may be repeated.
		fail := true
		_, err := s.Subscribe(bg, func(context.Context, order) error {
			if fail {
				return assert.AnError
			}
			return nil
		})
		require.NoError(t, err)
		require.ErrorIs(t, arrive("4", "sync", ""), assert.AnError)
		fail = false
		require.NoError(t, arrive("4", "sync", ""))
		require.NoError(t, arrive("4", "sync", ""), "accepted before")
		assert.EqualValues(t, 2, s.Stats().Seq)
		closed(t, b)
		require.ErrorIs(t, deliver(bg, eventbus.Encoded{Topic: "x"}), eventbus.ErrClosed)
		runtime.KeepAlive(x)
	})
}

// What Forward fails at is sent again as Retry says, and what Marshal cannot do
// is a failure of that event alone.
func TestG39_FailuresOfTheExport(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[any](t, eventbus.Config{}, eventbus.TopicConfig{})
		dead := eventbus.MustNewTopic[eventbus.Failure](b, "dead", eventbus.TopicConfig{})
		letters, _ := subscribe(t, dead, eventbus.SubscribeConfig[eventbus.Failure]{})
		l, _ := links()
		l.failures = []error{assert.AnError, assert.AnError}
		cfg := eventbus.BridgeConfig{Export: []string{"x"}, Queue: eventbus.SubscribeConfig[any]{
			Name: "out", Retry: eventbus.Retry{Attempts: 3}, DeadLetter: dead,
		}}
		s := attach(t, b, l, cfg)
		assert.Equal(t, "out", s.Name())
		began := time.Now()
		publish[any](t, x, 1, func() {}, 3)
		closed(t, b)
		assert.Equal(t, 300*time.Millisecond+300*time.Millisecond, time.Since(began))
		require.Len(t, l.sent, 2)
		assert.Equal(t, "1", string(l.sent[0].Data))
		assert.Equal(t, "3", string(l.sent[1].Data))
		require.Len(t, letters.data(), 1)
		assert.EqualValues(t, 2, letters.data()[0].Event.Seq)
		assert.Empty(t, l.patterns, "nothing is imported")
		assert.Equal(t, 1, l.closes)
	})
}

// A Receive that ends early is called again, with the waits of a Retry.
func TestG39_AReceiveThatEndsEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		l, _ := links()
		l.ends = []error{assert.AnError, nil, assert.AnError}
		attach(t, b, l, eventbus.BridgeConfig{Import: []string{"a.*", "b"}})
		synctest.Wait()
		count := func() int { l.mu.Lock(); defer l.mu.Unlock(); return len(l.patterns) }
		assert.Equal(t, 2, count())
		time.Sleep(100*time.Millisecond - 1)
		synctest.Wait()
		assert.Equal(t, 2, count())
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		assert.Equal(t, 4, count())
		time.Sleep(200 * time.Millisecond)
		synctest.Wait()
		assert.Equal(t, 5, count(), "one was well the second time")
		closed(t, b)
		runtime.KeepAlive(x)
	})
}

type panicky struct{}

func (panicky) Receive(context.Context, string, func(context.Context, eventbus.Encoded) error) error {
	panic("receive")
}
func (panicky) Forward(context.Context, eventbus.Encoded) error { panic("forward") }
func (panicky) Close(context.Context) error                     { panic("close") }

func TestG18_G39_ABridgeThatPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var failures []eventbus.Failure
		b, x := newTopic[order](t, eventbus.Config{Hooks: eventbus.Hooks{
			Failed: func(_ context.Context, f eventbus.Failure) { failures = append(failures, f) },
		}}, eventbus.TopicConfig{})
		attach(t, b, panicky{}, both)
		publish(t, x, order{1})
		time.Sleep(time.Minute)
		var p *eventbus.PanicError
		require.ErrorAs(t, b.Close(bg), &p)
		assert.Equal(t, "close", p.Value)
		require.Len(t, failures, 1)
		require.ErrorAs(t, failures[0].Err, &p)
		assert.Equal(t, "forward", p.Value)
	})
}

// The end of the context given to Attach, or of the subscription, ends both
// sides, and then the bridge is closed.
func TestG39_TheEndOfAnAttach(t *testing.T) {
	for name, end := range map[string]func(*eventbus.Subscription, func()){
		"context": func(_ *eventbus.Subscription, cancel func()) { cancel() },
		"Cancel":  func(s *eventbus.Subscription, _ func()) { s.Cancel() },
		"Drain":   func(s *eventbus.Subscription, _ func()) { _ = s.Drain(bg) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
				l, _ := links()
				ctx, cancel := context.WithCancel(bg)
				defer cancel()
				s, err := b.Attach(ctx, l, both)
				require.NoError(t, err)
				synctest.Wait()
				end(s, cancel)
				<-s.Done()
				synctest.Wait()
				l.mu.Lock()
				assert.Empty(t, l.deliver, "no import is left")
				l.mu.Unlock()
				publish(t, x, order{1})
				synctest.Wait()
				assert.Empty(t, l.sent)
				assert.Equal(t, 1, l.closes)
				closed(t, b)
				closed(t, b)
				assert.Equal(t, 1, l.closes)
			})
		})
	}
}

// What was accepted before Close is sent before the bridge is closed.
func TestG34_G39_CloseSendsWhatWasAccepted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		l, _ := links()
		l.failures = []error{assert.AnError}
		cfg := both
		cfg.Queue.Retry.Attempts = 2
		attach(t, b, l, cfg)
		for i := range 100 {
			publish(t, x, order{i})
		}
		closed(t, b)
		assert.Len(t, l.sent, 100)
		assert.Equal(t, 1, l.closes)
	})
}

func TestG35_G44_AttachRefused(t *testing.T) {
	b, _ := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
	l, _ := links()
	_, err := b.Attach(nil, nil, eventbus.BridgeConfig{ //nolint:staticcheck // misuse
		Export: []string{"a..b"}, Import: []string{">.a"}, Marshal: func(any) ([]byte, error) { return nil, nil },
	})
	for _, part := range []string{"nil context", "nil Bridge", `Export: `, `"a..b"`, `Import: `, `">.a"`, "Marshal and Unmarshal"} {
		require.ErrorContains(t, err, part)
	}
	_, err = b.Attach(bg, l, eventbus.BridgeConfig{})
	require.ErrorContains(t, err, "Export and Import")
	_, err = b.Attach(bg, l, eventbus.BridgeConfig{Export: []string{">"}, Queue: eventbus.SubscribeConfig[any]{Workers: -1, From: 1}})
	require.ErrorContains(t, err, "Workers is -1")
	require.ErrorContains(t, err, "From is 1")
	ended, cancel := context.WithCancelCause(bg)
	cancel(assert.AnError)
	_, err = b.Attach(ended, l, both)
	assert.Equal(t, assert.AnError, err)
	_, err = (*eventbus.Bus)(nil).Attach(bg, l, both)
	require.Error(t, err)
	closed(t, b)
	_, err = b.Attach(bg, l, both)
	require.ErrorIs(t, err, eventbus.ErrClosed)
	assert.Zero(t, l.closes, "it is still its maker's")
}
