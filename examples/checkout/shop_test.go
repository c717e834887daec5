package main

import (
	"context"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/checkout/page"
)

// openShop is a shop that is open until the end of the test, with faults that last.
func openShop(t *testing.T) *shop {
	t.Helper()
	s, err := newShop(t.Context(), script{1}, patient, t.TempDir(), func(time.Duration, string) {})
	require.NoError(t, err)
	require.NoError(t, s.open(t.Context()))
	t.Cleanup(func() { assert.NoError(t, s.close(context.Background())) })
	return s
}

// buy has somebody buy something, and waits until the order has come to its end.
func buy(t *testing.T, s *shop, orders ...Order) {
	t.Helper()
	got := s.serve(t.Context(), t.Context(), orders, time.Millisecond)
	require.Empty(t, got.failed)
	require.NoError(t, s.subs.ledger.await(t.Context(), len(orders)))
	require.NoError(t, s.topics.bus.Flush(t.Context()))
}

func instance(t *testing.T, v page.View, id string) page.Instance {
	t.Helper()
	for _, s := range v.Services {
		for _, i := range s.Instances {
			if i.ID == id {
				return i
			}
		}
	}
	require.Fail(t, "no such instance", id)
	return page.Instance{}
}

// What the page shows of a shop in which some orders were placed.
func TestShop_view(t *testing.T) {
	s := openShop(t)
	orders := []Order{meets(t, ""), meets(t, charges), meets(t, parcels)}
	buy(t, s, orders...)
	v := s.View()
	assert.Equal(t, page.Orders{Placed: 3, Completed: 1, Compensated: 2}, v.Orders)
	assert.Empty(t, v.Runs)
	assert.Empty(t, v.Note)
	assert.Positive(t, v.Elapsed)
	var ids []string
	var calls uint64
	for _, service := range v.Services {
		for _, i := range service.Instances {
			ids = append(ids, service.Name+" "+i.ID)
			assert.Equal(t, s.find(i.ID).where(), i.Addr)
			assert.Equal(t, "passing", i.Health)
			assert.Equal(t, "closed", i.Breaker)
			assert.Equal(t, page.Fault(""), i.Fault)
			assert.Zero(t, i.InFlight)
			assert.Equal(t, []page.Span{{State: "closed"}}, i.Timeline)
			if service.Name != office {
				assert.Equal(t, []page.Fault{page.Kill, page.Slow, page.Storm, page.Heal}, i.Faults)
				calls += i.Calls
			}
		}
	}
	assert.Equal(t, []string{
		"orders orders-1", "stock stock-1", "payment payment-1", "payment payment-2", "payment payment-3", "shipping shipping-1", "shipping shipping-2",
	}, ids)
	assert.Equal(t, uint64(6+3+9), calls, "one that completes, one that is refused early, one late")
	assert.Equal(t, uint64(3), instance(t, v, "orders-1").Calls)
	assert.Equal(t, []page.Fault{page.Kill, page.Heal}, instance(t, v, "orders-1").Faults)

	var topics, queues []string
	for _, topic := range v.Topics {
		topics = append(topics, topic.Name)
		if topic.Name == "orders.ended" {
			assert.Equal(t, uint64(3), topic.Published)
		}
	}
	assert.Equal(t, []string{
		"breaker.moved", "mails.returned", "orders.ended", "orders.placed", "registry.changed", "saga.status", "saga.step.began", "saga.step.ended", "shop.news",
	}, topics)
	for _, q := range v.Queues {
		queues = append(queues, q.Name+" "+q.Topic)
		assert.Zero(t, q.Waiting)
		if q.Name == "audit" {
			assert.Equal(t, 128, q.Capacity)
		} else {
			assert.Zero(t, q.Capacity)
		}
		if q.Name == "ledger" {
			assert.Equal(t, uint64(3), q.Handled)
		}
	}
	assert.Equal(t, []string{"audit >", "ledger orders.ended", "notifier orders.ended", "page >", "returns mails.returned"}, queues)
}

// Each button, and what is seen of it.
func TestShop_inject(t *testing.T) {
	s := openShop(t)
	state := func(id string) page.Fault { return instance(t, s.View(), id).Fault }
	require.NoError(t, s.Inject(page.Slow, "payment-1"))
	require.NoError(t, s.Inject(page.Storm, "shipping-2"))
	assert.Equal(t, page.Slow, state("payment-1"))
	assert.Equal(t, page.Storm, state("shipping-2"))
	assert.Equal(t, "payment-1 is slow, shipping-2 is overloaded", s.View().Note)
	require.NoError(t, s.Inject(page.Heal, "payment-1"))
	assert.Equal(t, page.Fault(""), state("payment-1"))

	addr := s.find("payment-3").where()
	require.NoError(t, s.Inject(page.Kill, "payment-3"))
	assert.Equal(t, page.Kill, state("payment-3"))
	_, err := get(t.Context(), addr, "/healthz")
	require.Error(t, err)
	require.EqualError(t, s.Inject(page.Kill, "payment-3"), "payment-3: it is dead")
	require.NoError(t, s.Inject(page.Heal, "payment-3"))
	assert.Equal(t, page.Fault(""), state("payment-3"))
	_, err = get(t.Context(), addr, "/healthz")
	require.NoError(t, err)

	require.NoError(t, s.Inject(page.Kill, "orders-1"))
	assert.Equal(t, page.Kill, state("orders-1"))
	assert.Nil(t, s.office.working())
	require.NoError(t, s.Inject(page.Heal, "orders-1"))
	assert.NotNil(t, s.office.working())
	require.NoError(t, s.Inject(page.Heal, "orders-1"), "it is well")

	require.ErrorIs(t, s.Inject(page.Kill, "payment-4"), errNoInstance)
	for _, f := range []page.Fault{page.Slow, page.Storm} {
		require.EqualError(t, s.Inject(f, "orders-1"), "orders-1 cannot be hit by \""+string(f)+"\"")
	}
	for _, f := range []page.Fault{"", "late", "fire"} {
		require.EqualError(t, s.Inject(f, "stock-1"), "stock-1 cannot be hit by \""+string(f)+"\"")
	}
	require.NoError(t, s.topics.bus.Flush(t.Context()))
	var log []string
	for _, line := range s.View().Log {
		log = append(log, line.Text)
	}
	assert.Subset(t, log, []string{
		"payment-1 is slow", "shipping-2 is overloaded", "payment-1 is well again", "payment-3 is dead", "payment-3 is well again", "orders-1 is well again",
	})
	buy(t, s, meets(t, ""))
}

// What was killed by hand is started again after a while, by itself.
func TestShop_killedByHand(t *testing.T) {
	s, err := newShop(t.Context(), script{1}, tempo{leastTime}, t.TempDir(), func(time.Duration, string) {})
	require.NoError(t, err)
	require.NoError(t, s.open(t.Context()))
	defer func() { assert.NoError(t, s.close(context.Background())) }()
	require.NoError(t, s.Inject(page.Kill, "stock-1"))
	require.NoError(t, s.Inject(page.Kill, "orders-1"))
	buy(t, s, meets(t, ""))
	assert.Equal(t, 2, s.office.opened())
	assert.Empty(t, s.note())
}

// A shop that closes does not wait for who is to be started again later.
func TestShop_closesWhileDead(t *testing.T) {
	s, err := newShop(t.Context(), script{1}, tempo{mostTime}, t.TempDir(), func(time.Duration, string) {})
	require.NoError(t, err)
	require.NoError(t, s.open(t.Context()))
	for _, id := range []string{"stock-1", "orders-1"} {
		require.NoError(t, s.Inject(page.Kill, id))
	}
	require.NoError(t, s.close(t.Context()))
	assert.Contains(t, s.note(), "orders-1 is dead")
}

// Who cannot be started says so, and can be tried again.
func TestShop_cannotRevive(t *testing.T) {
	s := openShop(t)
	server := s.find("stock-1")
	a, err := s.strike(server, kill)
	require.NoError(t, err)
	server.service = "no name"
	require.ErrorContains(t, s.relieve(t.Context(), server, a), "stock-1: ")
	require.ErrorContains(t, s.Inject(page.Heal, "stock-1"), "Service is \"no name\"")
	server.service = "stock"
	require.NoError(t, s.relieve(t.Context(), server, a))
	assert.Equal(t, well, server.suffers())
}

// What has ended by hand does not end a second time, and not what has come after it.
func TestShop_relieve(t *testing.T) {
	s := openShop(t)
	server := s.find("payment-2")
	first, err := s.strike(server, slow)
	require.NoError(t, err)
	require.NoError(t, s.heal(t.Context(), server))
	_, err = s.strike(server, slow)
	require.NoError(t, err)
	require.NoError(t, s.relieve(t.Context(), server, first))
	assert.Equal(t, slow, server.suffers())

	dead, err := s.strike(server, kill)
	require.NoError(t, err)
	_, err = s.strike(server, storm)
	require.ErrorIs(t, err, errDead)
	require.ErrorContains(t, s.Inject(page.Kill, "payment-2"), "payment-2: it is dead")
	require.NoError(t, s.relieve(t.Context(), server, dead))
	assert.Equal(t, well, server.suffers())
	require.NoError(t, s.heal(t.Context(), server), "who is well is not well again")

	require.NoError(t, s.topics.bus.Flush(t.Context()))
	var told []string
	for _, line := range s.board.view().Log {
		if strings.HasPrefix(line.Text, "payment-2 ") {
			told = append(told, line.Text)
		}
	}
	assert.Equal(t, []string{
		"payment-2 is slow", "payment-2 is well again", "payment-2 is slow", "payment-2 is dead", "payment-2 is well again",
	}, told)
}

// When all have been healed for the end nobody is struck any more.
func TestShop_healAll(t *testing.T) {
	s := openShop(t)
	for _, id := range []string{"orders-1", "payment-1"} {
		_, err := s.strike(s.find(id), kill)
		require.NoError(t, err)
	}
	_, err := s.strike(s.find("stock-1"), late)
	require.NoError(t, err)
	require.NoError(t, s.healAll(t.Context()))
	assert.Empty(t, s.note())
	require.ErrorIs(t, s.Inject(page.Kill, "payment-1"), errOver)
	assert.Empty(t, s.note())
}

// A breaker that opens and who gets no calls any more are seen on the page.
func TestShop_breakerOnThePage(t *testing.T) {
	s := openShop(t)
	require.NoError(t, s.Inject(page.Storm, "shipping-1"))
	var orders []Order
	for n := range 8 {
		o := meets(t, "")
		o.ID += mark + string(rune('a'+n))
		orders = append(orders, o)
	}
	buy(t, s, orders...)
	i := instance(t, s.View(), "shipping-1")
	assert.NotEqual(t, breaker.Closed.String(), i.Breaker)
	assert.Positive(t, i.Calls)
	require.GreaterOrEqual(t, len(i.Timeline), 2)
	assert.Equal(t, "open", i.Timeline[1].State)
	assert.Positive(t, i.Timeline[1].From)
	assert.Positive(t, s.board.openings()["shipping-1"])
}

// A port that cannot be had is no shop.
func TestShop_cannotOpen(t *testing.T) {
	s, err := newShop(t.Context(), script{1}, tempo{leastTime}, t.TempDir(), func(time.Duration, string) {})
	require.NoError(t, err)
	s.find("payment-2").service = "no name"
	require.ErrorContains(t, s.open(t.Context()), "payment-2: ")
	require.NoError(t, s.close(t.Context()))
	_, err = net.Dial("tcp", s.find("stock-1").where())
	require.Error(t, err)
}
