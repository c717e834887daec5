package composedbench

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/examples/benchmarks/bench"
	"github.com/mainstay-go/mainstay/registry"
)

// Every case does what its row says: each call is answered by a server once and
// noticed by whatever is in front of it, all instances are called, and what
// guards them opens when they fail.
func TestCases(t *testing.T) {
	for _, g := range Subject().Groups {
		for _, row := range g.Rows {
			for _, c := range cases(row) {
				t.Run(row.Name+"/"+c.Name, func(t *testing.T) {
					for range 2 { // it begins from scratch every time
						require.NoError(t, bench.Try(c, 1, 3, 150, 1))
					}
				})
			}
		}
		g.After()
	}
}

func cases(row bench.Row) []bench.Case {
	all := []bench.Case{row.Ours}
	for _, o := range row.Others {
		all = append(all, o.Case)
	}
	return all
}

// The runner tells cases apart by their names, and the bars are those of the
// composed path over http.Client.
func TestRows(t *testing.T) {
	rows := make(map[string]bool)
	for _, row := range calls().Rows {
		require.False(t, rows[row.Name], "two rows %q", row.Name)
		rows[row.Name] = true
		names := make(map[string]bool)
		for _, c := range cases(row) {
			require.False(t, names[c.Name], "%s: two cases %q", row.Name, c.Name)
			names[c.Name] = true
		}
		assert.Equal(t, "mainstay, composed", row.Ours.Name)
		assert.Equal(t, "http.Client", row.Others[0].Name)
		assert.True(t, row.Net)
		assert.Equal(t, 10, row.Allocs)
	}
}

func TestOverhead(t *testing.T) {
	few := []kind{{http.MethodGet, 1, 1}, {http.MethodPost, 3, 2}}
	table := overhead(few, 2, 3)
	rows := table.Rows()
	require.Len(t, rows, len(few))
	for i, row := range rows {
		assert.Equal(t, few[i].String(), row[0])
		assert.Len(t, row, len(table.Columns))
		for _, nanos := range row[1:5] {
			assert.Greater(t, len(nanos), 3, "more than a microsecond: %s", row)
		}
	}
}

// The bar is for the median of ratios, each taken in a round.
func TestTell(t *testing.T) {
	round := func(bare, ours, theirs float64) []result {
		all := []result{{bare, 2 * bare}, {ours, 3 * ours}}
		for range ways[2:] {
			all = append(all, result{theirs, theirs})
		}
		return all
	}
	k := kind{http.MethodGet, 1, 1}
	row := tell(k, [][]result{round(100, 102, 110), round(200, 208, 220), round(400, 440, 440)})
	assert.Equal(t, []string{
		"GET, instances: 1, callers: 1", "200", "400", "208", "624",
		"4.0 % (3.0 to 7.0) more", "<= 5 % more", "met", "10.0 % (10.0 to 10.0) more",
	}, row[:9])
	assert.Equal(t, "**missed**", tell(k, [][]result{round(100, 106, 100)})[7])
}

// A call that fails ends the run with its error.
func TestCallsThatFail(t *testing.T) {
	s := sites{}
	defer s.close()
	failing := way{name: "failing", set: func(addrs []string) client {
		c := bare(addrs)
		c.call = func(*http.Request, []byte) error { return io.ErrUnexpectedEOF }
		return c
	}}
	k := kind{http.MethodGet, 1, 2}
	require.ErrorIs(t, bench.Try(calling(k, s, failing), 10), io.ErrUnexpectedEOF)
	c := failing.set(s.of(1).addrs)
	defer c.closing()
	_, err := byBatches(k, []client{c}, 1)
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
}

// A check finds calls that did not come to a server, or were not noticed, and
// guards that do not guard.
func TestCheck(t *testing.T) {
	s := sites{}
	defer s.close()
	k := kind{http.MethodGet, 2, 1}
	for name, test := range map[string]struct {
		spoil func(c *client)
		want  string
	}{
		"one instance only":   {func(c *client) { c.host = func() string { return s.of(2).addrs[0] } }, "had no call"},
		"nothing guards them": {func(c *client) { c.refuses = guarded(nil).refuses }, "not refused"},
		"not counted":         {func(c *client) { c.counted = func(int) error { return errors.New("not counted") } }, "not counted"},
		"calls come twice": {func(c *client) {
			call := c.call
			c.call = func(req *http.Request, buf []byte) error { return errors.Join(call(req, buf), call(req, buf)) }
		}, "the servers had 200 calls, not 100"},
	} {
		t.Run(name, func(t *testing.T) {
			spoilt := way{name: name, set: func(addrs []string) client {
				c := bare(addrs)
				test.spoil(&c)
				return c
			}}
			assert.ErrorContains(t, bench.Try(calling(k, s, spoilt), 100), test.want)
		})
	}
}

// The bus is told what happens: to tell nothing, or somebody else, is found.
func TestCheckOfNews(t *testing.T) {
	n := newNews()
	defer func() { must(n.bus.Close(background)) }()
	changed := noContext(toTopic[registry.Change](n, "changed", &n.changed))
	moved := toTopic[breaker.Transition](n, "moved", &n.moved)
	rejected := toTopic[*breaker.RejectedError](n, "rejected", &n.rejected)
	require.ErrorContains(t, n.check(1), "0 changes")
	changed(registry.Change{})
	require.ErrorContains(t, n.check(1), "0 transitions")
	moved(background, breaker.Transition{})
	require.ErrorContains(t, n.check(1), "no rejection")
	rejected(background, &breaker.RejectedError{})
	require.NoError(t, n.check(1))
}

// The servers refuse what is not the call that is measured.
func TestServers(t *testing.T) {
	s := open(1)
	defer s.close()
	c := &http.Client{Transport: network()}
	defer c.CloseIdleConnections()
	for name, req := range map[string]*http.Request{
		"no key":     got(http.NewRequestWithContext(background, http.MethodPost, "http://"+s.addrs[0], strings.NewReader(order))),
		"no order":   kind{method: http.MethodPost}.request(s.addrs[0]),
		"long order": kind{method: http.MethodPost}.request(s.addrs[0]),
	} {
		switch name {
		case "no order":
			req.Body, req.ContentLength = http.NoBody, 0
		case "long order":
			req.Body, req.ContentLength = io.NopCloser(strings.NewReader(order+" ")), int64(len(order)+1)
		}
		assert.ErrorContains(t, exchange(c, req, make([]byte, bufBytes)), "status 400", name)
	}
	require.NoError(t, exchange(c, kind{method: http.MethodPost}.request(s.addrs[0]), make([]byte, bufBytes)))
	s.fail()
	assert.ErrorContains(t, exchange(c, kind{method: http.MethodGet}.request(s.addrs[0]), make([]byte, bufBytes)), "status 503")
	all, _ := s.hits()
	assert.Equal(t, 5, all)
}
