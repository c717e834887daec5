package registryhttp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// G43: of a response that another attempt makes useless up to 4 KiB are read, so
// that its connection can be used again, and it is closed.
func TestG43_EarlierOnesAreDrained(t *testing.T) {
	const most = 4 << 10
	for name, size := range map[string]int{"none": 0, "little": 10, "all": most, "one more": most + 1, "plenty": 1 << 20} {
		t.Run(name, func(t *testing.T) {
			body := &script{reads: nil}
			for left := size; left > 0; left -= 512 {
				body.reads = append(body.reads, read{strings.Repeat("x", min(left, 512)), nil})
			}
			f := newFixture(t, network{
				"a": deliver(503, func() io.ReadCloser { return body }, int64(size)),
				"b": answer(200, "good"),
			}, named("a", "b"))
			resp, err := f.RoundTrip(get(t))
			bytes, closes := body.seen()
			assert.Equal(t, min(size, most), bytes)
			assert.Positive(t, closes)
			assert.Equal(t, "good", finish(t, resp, err))
			assert.Equal(t, []string{"a failure", "b success"}, f.outcomes())
		})
	}
}

// G43: not a byte more is asked for.
func TestG43_EarlierOnesAreNotReadBeyond(t *testing.T) {
	body := &plenty{}
	f := newFixture(t, network{
		"a": deliver(503, func() io.ReadCloser { return body }, -1),
		"b": answer(200, "good"),
	}, named("a", "b"))
	resp, err := f.RoundTrip(get(t))
	assert.Equal(t, int64(4<<10), body.bytes.Load())
	assert.Positive(t, body.closes.Load())
	assert.Equal(t, "good", finish(t, resp, err))
}

// G43: a body that stalls holds the next attempt up for a moment only.
func TestG43_EarlierOneStalls(t *testing.T) {
	bubbles(t, mockOrNil, func(t *testing.T, mock clockMaker) {
		body := newStalled()
		f := newFixtureIn(t, newRegistry(t, config(mock())), network{
			"a": deliver(503, func() io.ReadCloser { return body }, -1),
			"b": answer(200, "good"),
		}, named("a", "b"))
		start := time.Now()
		resp, err := f.RoundTrip(get(t))
		assert.Equal(t, 100*time.Millisecond, time.Since(start), "in real time, whatever the clock")
		assert.Equal(t, "good", finish(t, resp, err))
		assert.Equal(t, []string{"a failure", "b success"}, f.outcomes())
		<-body.closed
	})
}

// G43: the outcome of an attempt that is followed by another one is what made
// that necessary, not what became of its body.
func TestG43_EarlierOneBreaks(t *testing.T) {
	body := &script{reads: []read{{"sor", nil}, {"", io.ErrUnexpectedEOF}}}
	f := newFixture(t, network{
		"a": deliver(503, func() io.ReadCloser { return body }, 5),
		"b": answer(200, "good"),
	}, named("a", "b"))
	resp, err := f.RoundTrip(get(t))
	assert.Equal(t, "good", finish(t, resp, err))
	assert.Equal(t, []string{"a failure", "b success"}, f.outcomes())
	_, closes := body.seen()
	assert.Positive(t, closes)
}

// G43: without a body there is nothing to drain.
func TestG43_EarlierOneWithoutBody(t *testing.T) {
	for name, body := range map[string]io.ReadCloser{"nil": nil, "NoBody": http.NoBody} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, network{
				"a": deliver(503, func() io.ReadCloser { return body }, 0),
				"b": answer(200, "good"),
			}, named("a", "b"))
			resp, err := f.RoundTrip(get(t))
			assert.Equal(t, "good", finish(t, resp, err))
			assert.Zero(t, f.inFlight())
		})
	}
}

// G43: while an earlier response is drained, its instance is in use, and the
// next one already is too; both are free in the end.
func TestG43_InFlightWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		body := newStalled()
		f := newFixture(t, network{
			"a": deliver(503, func() io.ReadCloser { return body }, -1),
			"b": answer(200, "good"),
		}, named("a", "b"))
		answered := make(chan *http.Response)
		go func() {
			resp, err := f.RoundTrip(get(t))
			assert.NoError(t, err)
			answered <- resp
		}()
		synctest.Wait()
		assert.Equal(t, 2, f.inFlight())
		resp := <-answered
		require.NotNil(t, resp)
		assert.Equal(t, 1, f.inFlight())
		finish(t, resp, nil)
		assert.Zero(t, f.inFlight())
	})
}
