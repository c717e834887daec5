package breaker_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
)

// FuzzConfig: whatever the numbers, New says what is wrong or makes a breaker
// that works (G38). No panic, no overflow.
func FuzzConfig(f *testing.F) {
	f.Add(uint8(0), 5, 0.5, 20, 100, int64(0), 0, int64(time.Second), int64(0), 2.0, 0.1, 1, 3, 3)
	f.Add(uint8(1), 3, 0.5, 20, 10, int64(0), 0, int64(-1), int64(math.MaxInt64), math.NaN(), math.Inf(1), 65, -1, 2)
	f.Add(uint8(2), 0, math.NaN(), -1, 0, int64(time.Minute), 1000, int64(math.MaxInt64), int64(math.MinInt64), 0.5, 0.5, 64, 1, 1)
	f.Add(uint8(3), 1, 1e-7, 1<<30, 1<<21, int64(1), 1, int64(0), int64(1), -1.0, -1.0, 0, 0, 0)
	f.Fuzz(func(t *testing.T, kind uint8, n int, rate float64, minCalls, last int, within int64, buckets int,
		openFor, threshold int64, backoff, jitter float64, probes, closeAfter, closeOf int,
	) {
		if last > 1<<16 || n > 1<<16 && n <= 1<<20 {
			return // valid, and too much memory to fuzz with
		}
		w := breaker.Window{Last: last, Within: time.Duration(within), Buckets: buckets}
		var rule breaker.Rule
		switch kind % 5 {
		case 0:
			rule = breaker.ConsecutiveFailures(n)
		case 1:
			rule = breaker.FailureCount(n, w)
		case 2:
			rule = breaker.FailureRate(rate, minCalls, w)
		case 3:
			rule = breaker.SlowRate(time.Duration(threshold), rate, minCalls, w)
		case 4:
			rule = breaker.Any(breaker.Rule{}, breaker.FailureCount(n, w), breaker.SlowRate(time.Duration(threshold), rate, minCalls, w))
		}
		_ = rule.String()
		clock := &handClock{now: time.Unix(0, 0)}
		b, err := breaker.New("fuzz", breaker.Config{
			Trip: rule, OpenFor: time.Duration(openFor), MaxOpenFor: -1, Backoff: backoff, Jitter: jitter, JitterSeed: 1,
			Probes: probes, CloseAfter: closeAfter, CloseOf: closeOf, Ramp: time.Duration(threshold), Clock: clock,
		})
		if err != nil {
			require.Nil(t, b)
			return
		}
		for i := range 20 {
			_ = b.Run(context.Background(), func(context.Context) error { return errDown })
			s := b.Snapshot()
			require.LessOrEqual(t, s.Failures, s.Calls)
			require.GreaterOrEqual(t, s.RetryAfter, time.Duration(0))
			clock.forward(time.Duration(1) << (3 * i))
		}
		b.Trip(0, nil)
		require.Contains(t, []breaker.State{breaker.Open, breaker.HalfOpen}, b.State())
		b.Reset()
		require.Equal(t, breaker.Closed, b.State())
	})
}

// model is a breaker made of lists: every outcome of the present closed stay,
// and every probe of the present half-open one.
type model struct {
	rate             bool // else the count of consecutive failures
	limit, last      int
	openFor, lease   time.Duration
	probes, need, of int

	now            time.Duration
	state          breaker.State
	stay           int
	until          time.Duration // open
	outcomes       []bool        // closed: true for a failure
	inFlight       map[int]time.Duration
	passed, failed int
	late, ignored  uint64
}

func (m *model) enter(s breaker.State) {
	m.stay++
	m.state, m.outcomes, m.inFlight, m.passed, m.failed = s, nil, map[int]time.Duration{}, 0, 0
	if s == breaker.Open {
		m.until = m.now + m.openFor
	}
}

// shown is the state as reads tell it.
func (m *model) shown() breaker.State {
	if m.state == breaker.Open && m.now >= m.until {
		return breaker.HalfOpen
	}
	return m.state
}

// allow reports whether call id is admitted.
func (m *model) allow(id int) bool {
	if m.shown() != m.state {
		m.enter(breaker.HalfOpen)
	}
	if m.state == breaker.HalfOpen {
		for probe, began := range m.inFlight {
			if m.now-began >= m.lease {
				delete(m.inFlight, probe)
				m.failed++
			}
		}
		if m.of-m.failed < m.need {
			m.enter(breaker.Open)
		}
	}
	if m.state == breaker.Open || m.state == breaker.HalfOpen && len(m.inFlight) >= m.probes {
		return false
	}
	m.inFlight[id] = m.now // of no account while closed
	return true
}

func (m *model) report(id, stay int, o breaker.Outcome) {
	_, probing := m.inFlight[id]
	if stay != m.stay || m.state == breaker.HalfOpen && !probing {
		m.late++
		return
	}
	delete(m.inFlight, id)
	switch {
	case o == breaker.Ignored:
		m.ignored++
	case m.state == breaker.HalfOpen && o == breaker.Success:
		if m.passed++; m.passed >= m.need {
			m.enter(breaker.Closed)
		}
	case m.state == breaker.HalfOpen:
		if m.failed++; m.of-m.failed < m.need {
			m.enter(breaker.Open)
		}
	default:
		m.outcomes = append(m.outcomes, o == breaker.Failure)
		if o == breaker.Failure && m.reached() {
			m.enter(breaker.Open)
		}
	}
}

func (m *model) failures() (calls, bad int) {
	window := m.outcomes
	if m.rate {
		window = window[max(len(window)-m.last, 0):]
	}
	for _, failure := range window {
		calls++
		switch {
		case failure:
			bad++
		case !m.rate:
			calls, bad = 0, 0
		}
	}
	return calls, bad
}

func (m *model) reached() bool {
	calls, bad := m.failures()
	if m.rate {
		return calls >= min(20, m.last) && 10*bad >= m.limit*calls
	}
	return bad >= m.limit
}

// FuzzOperations runs a sequence of operations against the breaker and the
// model. The nested module internal/modelcheck does the same at length.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 3, 8, 5, 1, 2, 2, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 50, 0, 0, 2, 0, 0, 0})
	f.Add([]byte{1, 5, 8, 5, 2, 1, 3, 0, 9, 1, 17, 25, 0, 8, 16, 24, 32, 40, 3, 3, 3, 4, 4, 4, 5, 0, 1})
	f.Add([]byte{1, 9, 3, 1, 3, 3, 0, 0, 0, 0, 0, 0, 1, 9, 1, 9, 255, 7, 6, 0, 0, 255, 0, 2, 10, 18})
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) < 8 || len(data) > 4096 {
			return
		}
		m := &model{
			rate: data[0]%2 == 1, limit: 1 + int(data[1]%9), last: 1 + int(data[2]%40),
			openFor: time.Duration(1 + data[3]%20), lease: time.Duration(1 + data[4]%20),
			probes: 1 + int(data[5]%4), need: 1 + int(data[6]%4),
		}
		m.of = m.need + int(data[7]%3)
		m.enter(breaker.Closed)
		clock := &handClock{now: time.Unix(0, 0)}
		cfg := breaker.Config{
			Trip: breaker.ConsecutiveFailures(m.limit), OpenFor: m.openFor, ProbeLease: m.lease,
			Probes: m.probes, CloseAfter: m.need, CloseOf: m.of, Clock: clock,
		}
		if m.rate {
			cfg.Trip = breaker.FailureRate(float64(m.limit)/10, 0, breaker.LastN(m.last))
		}
		b := breaker.MustNew("fuzz", cfg)

		type call struct {
			id, stay int
			permit   *breaker.Permit
		}
		var calls []call
		for i, op := range data[8:] {
			switch arg := int(op / 8); op % 8 {
			case 0, 1, 2:
				p, err := b.Allow(context.Background())
				admitted := m.allow(i)
				require.Equal(t, admitted, err == nil, "op %d: allow", i)
				if admitted {
					calls = append(calls, call{i, m.stay, &p})
				} else {
					require.Equal(t, m.state == breaker.HalfOpen, errors.Is(err, breaker.ErrTooManyProbes), "op %d", i)
				}
			case 3, 4, 5:
				if len(calls) == 0 {
					continue
				}
				k := arg % len(calls)
				c := calls[k]
				calls = append(calls[:k], calls[k+1:]...)
				o := breaker.Outcome(op%8 - 3)
				c.permit.Record(o, errDown)
				m.report(c.id, c.stay, o)
			case 6:
				clock.forward(time.Duration(arg))
				m.now += time.Duration(arg)
			case 7:
				switch arg % 4 {
				case 0:
					b.Reset()
					m.enter(breaker.Closed)
				default:
					clock.forward(time.Duration(op))
					m.now += time.Duration(op)
				}
			}
			s := b.Snapshot()
			require.Equal(t, m.shown(), s.State, "op %d", i)
			require.Equal(t, [2]uint64{m.late, m.ignored}, [2]uint64{s.Late, s.Ignored}, "op %d: late, ignored", i)
			if m.state == breaker.HalfOpen {
				require.Equal(t, len(m.inFlight), s.Probes, "op %d: probes", i)
			}
			if m.state == breaker.Closed {
				seen, bad := m.failures()
				require.Equal(t, [2]uint64{uint64(seen), uint64(bad)}, [2]uint64{s.Calls, s.Failures}, "op %d: counts", i)
			}
		}
	})
}
