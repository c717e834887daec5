package page_test

import (
	"bufio"
	"context"
	"errors"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/examples/checkout/page"
	"github.com/mainstay-go/mainstay/examples/checkout/page/pagetest"
)

const every = 250 * time.Millisecond

// The first message has everything, whatever the client has already: it may have
// lost the stream, or the program may be another one.
func TestStream_everythingAtFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		c := visit(t, p)
		synctest.Wait()
		assert.Equal(t, "text/event-stream", c.header.Get("Content-Type"))
		got := c.take(t)
		require.Len(t, got, 2)
		assert.Equal(t, "retry: 1000\n\n", got[0].text)
		ids := got[1].ids()
		assert.Equal(t, []string{
			"now", "orders", "services", "services-0-0-facts", "services-0-0-line", "services-0-0-load", "services-0-0-buttons",
		}, ids[:7])
		assert.Equal(t, []string{"runs", "bus", "log"}, ids[len(ids)-3:])
		assert.Len(t, ids, 6+4*7)
		assert.Contains(t, got[1].html("orders"), "128")
		assert.Equal(t, 2, c.flushed)

		// What was loaded is the same: a client leaves all of it alone.
		document := whole(t, p)
		for _, one := range got[1].pieces {
			assert.Contains(t, document, `<div id="`+one.ID+`" data-key="`+one.Key+`">`)
			if one.ID != "services" {
				assert.Contains(t, document, `<div id="`+one.ID+`" data-key="`+one.Key+`">`+one.HTML+`</div>`)
			}
		}
		c.stop()
		<-c.done
	})
}

func TestStream_onlyChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		c := visit(t, newPage(t, shop, page.Config{}))
		synctest.Wait()
		c.take(t)

		time.Sleep(time.Minute)
		assert.Empty(t, c.take(t), "nothing has changed")

		shop.Change(func(v *page.View) { v.Orders.Stuck++ })
		time.Sleep(every)
		synctest.Wait()
		got := c.take(t)
		require.Len(t, got, 1)
		assert.Equal(t, []string{"orders"}, got[0].ids())

		shop.Change(func(v *page.View) {
			v.Services[1].Instances[0].Calls += 1000
			v.Queues[0].Dropped = 77
			v.Log = append(v.Log, page.Line{Text: "a <i>new</i> line"})
		})
		time.Sleep(every)
		synctest.Wait()
		got = c.take(t)
		require.Len(t, got, 1)
		assert.Equal(t, []string{"services-1-0-load", "bus", "log"}, got[0].ids())
		assert.Contains(t, got[0].html("bus"), `<td class="worry">77</td>`)
		assert.Contains(t, got[0].html("log"), "a &lt;i&gt;new&lt;/i&gt; line")

		// There and back between two messages is no change.
		shop.Change(func(v *page.View) { v.Orders.Stuck++ })
		shop.Change(func(v *page.View) { v.Orders.Stuck-- })
		time.Sleep(time.Second)
		assert.Empty(t, c.take(t))
		c.stop()
		<-c.done
	})
}

// Time passes: the clock and the timelines move, and nothing else.
func TestStream_timeMoves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		c := visit(t, newPage(t, shop, page.Config{}))
		synctest.Wait()
		c.take(t)
		shop.Change(func(v *page.View) { v.Elapsed += time.Second })
		time.Sleep(every)
		synctest.Wait()
		got := c.take(t)
		require.Len(t, got, 1)
		for _, id := range got[0].ids() {
			assert.True(t, id == "now" || strings.HasSuffix(id, "-line"), id)
		}
		c.stop()
		<-c.done
	})
}

// Buttons are exchanged if those of their instance are others, or if there are
// other instances: then with all that is within.
func TestStream_buttonsStay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		c := visit(t, newPage(t, shop, page.Config{}))
		synctest.Wait()
		c.take(t)
		next := func(change func(*page.View)) []string {
			shop.Change(change)
			time.Sleep(every)
			synctest.Wait()
			got := c.take(t)
			require.Len(t, got, 1)
			return got[0].ids()
		}
		assert.Equal(t, []string{"services-1-1-facts", "services-1-1-line", "services-1-1-load"}, next(func(v *page.View) {
			i := &v.Services[1].Instances[1]
			i.Health, i.Fault, i.Breaker, i.Share, i.Calls = "passing", page.Heal, "closed", 0.5, 1
			i.Timeline = append(i.Timeline, page.Span{State: "closed", From: v.Elapsed - time.Second})
		}))
		assert.Equal(t, []string{"services-1-1-buttons"}, next(func(v *page.View) {
			v.Services[1].Instances[1].Faults = []page.Fault{page.Heal}
		}))
		ids := next(func(v *page.View) {
			v.Services[2].Instances = append(v.Services[2].Instances, page.Instance{ID: "shipping-3"})
		})
		assert.Equal(t, "services", ids[0])
		assert.Len(t, ids, 1+4*8)
		ids = next(func(v *page.View) { v.Services = v.Services[:1] })
		assert.Len(t, ids, 1+4)
		// What is gone and comes back is sent again.
		ids = next(func(v *page.View) {
			v.Services = append(v.Services, page.Service{Name: "mail", Instances: v.Services[0].Instances})
		})
		assert.Len(t, ids, 1+4*2)
		c.stop()
		<-c.done
	})
}

// The outer piece is sent without the inner ones, which follow.
func TestStream_frameIsEmpty(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := visit(t, newPage(t, pagetest.New(), page.Config{}))
		synctest.Wait()
		frame := c.take(t)[1].html("services")
		assert.Contains(t, frame, `<div id="services-1-0-buttons" data-key=""></div>`)
		assert.NotContains(t, frame, "<button")
		c.stop()
		<-c.done
	})
}

func TestStream_every(t *testing.T) {
	for _, d := range []time.Duration{0, time.Second, 10 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			shop := pagetest.New()
			c := visit(t, newPage(t, shop, page.Config{Every: d}))
			want := d
			if d == 0 {
				want = every
			}
			synctest.Wait()
			c.take(t)
			for range 20 * int(want/(5*time.Millisecond)) {
				time.Sleep(5 * time.Millisecond)
				shop.Advance(5 * time.Millisecond)
			}
			synctest.Wait()
			got := c.take(t)
			assert.InDelta(t, 20, len(got), 1)
			for i := 1; i < len(got); i++ {
				assert.Equal(t, want, got[i].at-got[i-1].at)
			}
			c.stop()
			<-c.done
		})
	}
}

// A slow client gets fewer messages, each of the moment at which it was made, and
// between them there is as much time as always.
func TestStream_slowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		c := &client{began: time.Now(), header: make(http.Header), done: make(chan struct{}), slow: 3 * time.Second}
		c.start(t, p)
		quick := visit(t, p)
		before := shop.Views()
		for range 65 {
			time.Sleep(time.Second)
			shop.Advance(time.Second)
		}
		synctest.Wait()
		slow := c.take(t)
		// After "retry", one in 3.25 s. The shop is looked at for what is sent.
		require.InDelta(t, 1+19, len(slow), 1)
		quicks := quick.take(t)
		assert.InDelta(t, 2+65, len(quicks), 1)
		assert.LessOrEqual(t, shop.Views()-before, 65*4+25)
		last := slow[len(slow)-1]
		for i := 3; i < len(slow); i++ {
			assert.Equal(t, 3*time.Second+every, slow[i].at-slow[i-1].at)
		}
		// Made three seconds before it was taken, when the shop was that old.
		made := 83*time.Second + (last.at - 3*time.Second).Truncate(time.Second)
		assert.Contains(t, last.html("now"), ">"+clock(made)+"<")
		c.stop()
		quick.stop()
		<-c.done
		<-quick.done
	})
}

func clock(d time.Duration) string {
	return time.Time{}.Add(d).Format("4:05")
}

func TestStream_clientLeaves(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		c := visit(t, p)
		time.Sleep(time.Second)
		c.stop()
		synctest.Wait()
		select {
		case <-c.done:
		default:
			t.Error("the stream goes on")
		}
		views := shop.Views()
		time.Sleep(time.Minute)
		assert.Equal(t, views, shop.Views(), "nobody looks any more")
		require.NoError(t, p.Close(t.Context()))
	})
}

// A client that cannot be written to, or not at once, has no stream.
func TestStream_clientFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		c := &client{began: time.Now(), header: make(http.Header), done: make(chan struct{}), broken: errors.ErrUnsupported}
		c.start(t, p)
		<-c.done
		assert.Zero(t, shop.Views())

		c = visit(t, p)
		synctest.Wait()
		c.set(0, errors.New("broken pipe"))
		shop.Advance(time.Second)
		<-c.done
		assert.Equal(t, every, time.Since(c.began))
	})
}

// Each message has its own ten seconds, from when it is sent.
func TestStream_deadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		c := visit(t, newPage(t, shop, page.Config{}))
		synctest.Wait()
		assert.Equal(t, c.began.Add(10*time.Second), c.deadline)
		time.Sleep(time.Minute)
		shop.Advance(time.Second)
		time.Sleep(every)
		synctest.Wait()
		got := c.take(t)
		assert.Equal(t, c.began.Add(got[len(got)-1].at+10*time.Second), c.deadline)
		c.stop()
		<-c.done
	})
}

func TestClose_endsStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPage(t, pagetest.New(), page.Config{})
		a, b := visit(t, p), visit(t, p)
		synctest.Wait()
		b.set(time.Minute, nil) // it takes long to leave
		b.take(t)
		time.Sleep(every)
		require.NoError(t, p.Close(t.Context()))
		<-a.done
		<-b.done
		assert.NoError(t, p.Close(t.Context()), "again")

		w := serve(p, request(t, http.MethodGet, "/events", ""))
		assert.Equal(t, http.StatusServiceUnavailable, w.Code)
		assert.Equal(t, "the page is closed\n", w.Body.String())
		assert.Contains(t, whole(t, p), "Mainstay", "the page itself works")
	})
}

func TestClose_impatient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		c := visit(t, p)
		synctest.Wait()
		c.set(time.Minute, nil)
		shop.Advance(time.Second)
		time.Sleep(every)
		synctest.Wait()
		why := errors.New("no time")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, why)
		defer cancel()
		assert.Equal(t, why, p.Close(ctx))
		<-c.done
		assert.NoError(t, p.Close(ctx), "ended is ended, whatever ctx says")
	})
}

func TestClose_unused(t *testing.T) {
	p := newPage(t, pagetest.New(), page.Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.NoError(t, p.Close(ctx))
}

// Through a real server: one that is stuck in a write is ended by its deadline, and
// one that hangs up by that. The bubble fails if a goroutine is left.
func TestStream_server(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		shop := pagetest.New()
		p := newPage(t, shop, page.Config{})
		l := newPipeListener()
		// A stream outlives the timeouts of its server.
		server := &http.Server{Handler: p, WriteTimeout: time.Second, ReadTimeout: time.Second}
		server.RegisterOnShutdown(func() { _ = p.Close(context.Background()) })
		served := make(chan error)
		go func() { served <- server.Serve(l) }()
		browser := &http.Transport{DialContext: l.dial}
		defer browser.CloseIdleConnections()
		get := func(ctx context.Context) *http.Response {
			r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://localhost/events", http.NoBody)
			require.NoError(t, err)
			resp, err := browser.RoundTrip(r)
			require.NoError(t, err)
			return resp
		}

		good := get(t.Context())
		in := bufio.NewReader(good.Body)
		for i := range 30 {
			shop.Advance(time.Second)
			for {
				text, err := in.ReadString('\n')
				require.NoError(t, err, i)
				if strings.HasPrefix(text, "data: ") {
					break
				}
			}
		}
		assert.Greater(t, time.Since(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)), 5*time.Second)

		ctx, hangUp := context.WithCancel(t.Context())
		get(ctx)
		stuck := get(t.Context()) // nobody reads its body
		synctest.Wait()
		assert.Equal(t, 3, streaming())
		hangUp()
		synctest.Wait()
		assert.Equal(t, 2, streaming())
		go func() { _, _ = in.WriteTo(discard{}) }()
		for range 12 {
			time.Sleep(time.Second)
			shop.Advance(time.Second)
		}
		synctest.Wait()
		assert.Equal(t, 1, streaming())
		stuck.Body.Close()
		require.NoError(t, server.Shutdown(t.Context()))
		assert.Zero(t, streaming())
		assert.Equal(t, http.ErrServerClosed, <-served)
		good.Body.Close()
	})
}

type discard struct{}

func (discard) Write(b []byte) (int, error) { return len(b), nil }

// streaming is how many goroutines are in a stream.
func streaming() int {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	return strings.Count(string(stacks), "page.(*Page).stream(")
}

func TestStream_head(t *testing.T) {
	w := serve(newPage(t, pagetest.New(), page.Config{}), request(t, http.MethodHead, "/events", ""))
	assert.Equal(t, http.StatusOK, w.Code)
	assert.Equal(t, "text/event-stream", w.Header().Get("Content-Type"))
	assert.Empty(t, w.Body.String())
	assert.False(t, w.Flushed)
}
