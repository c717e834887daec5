package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

func TestFullScript(t *testing.T) {
	s := fullScript()
	faults := make(map[fault]bool)
	for i, p := range s.phases {
		assert.Equal(t, i%2 == 1, p.sick(), "phase %d: good health before and after each fault", i)
		assert.Equal(t, p.sick(), p.fault != fault{}, "phase %d", i)
		assert.Positive(t, p.calls, "phase %d", i)
		assert.NotEmpty(t, p.says, "phase %d", i)
		if p.sick() {
			assert.False(t, faults[p.fault], "phase %d: seen before", i)
			faults[p.fault] = true
		}
	}
	assert.Len(t, faults, 5)
	assert.False(t, s.phases[len(s.phases)-1].sick(), "it ends well")
	_, err := breaker.New("", s.breaker)
	assert.NoError(t, err)
}

func TestCauseOf(t *testing.T) {
	slow := errors.New("the call took 2s")
	for _, tc := range []struct {
		reason breaker.Reason
		err    error
		want   cause
	}{
		{breaker.ReasonSlowCalls, slow, causeSlow},
		{breaker.ReasonFailures, &breakerhttp.StatusError{Code: 500}, causeStatus},
		{breaker.ReasonTrip, fmt.Errorf("call: %w", &breakerhttp.StatusError{Code: 503}), causeStatus},
		{breaker.ReasonSlowCalls, &breakerhttp.StatusError{Code: 500}, causeStatus},
		{breaker.ReasonFailures, fmt.Errorf("read: %w", context.DeadlineExceeded), causeTimeout},
		{breaker.ReasonSlowCalls, context.DeadlineExceeded, causeTimeout},
		{breaker.ReasonFailures, os.ErrDeadlineExceeded, causeTimeout},
		{breaker.ReasonFailures, io.ErrUnexpectedEOF, causeTransport},
		{breaker.ReasonFailures, nil, causeTransport},
	} {
		assert.Equal(t, tc.want, causeOf(tc.reason, tc.err), "%v: %v", tc.reason, tc.err)
	}
	assert.Equal(t, "slow calls by a slow success", opening{breaker.ReasonSlowCalls, causeSlow}.String())
	assert.Equal(t, "failures by a transport error", opening{breaker.ReasonFailures, causeTransport}.String())
}
