package registryhttp_test

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// The deadline of a call around this one, on a Mock: Err says Canceled, the cause is a deadline.
func TestRegression_DeadlineOfAMock(t *testing.T) {
	for name, end := range map[string]func(context.Context) (context.Context, func()){
		"system": func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
			return ctx, cancel
		},
		"Mock": func(ctx context.Context) (context.Context, func()) {
			ctx, cancel := context.WithCancelCause(ctx)
			return ctx, func() { cancel(context.DeadlineExceeded) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			started := make(chan struct{})
			f := newFixture(t, roundTrip(func(req *http.Request) (*http.Response, error) {
				close(started)
				return hang(req)
			}), named("a"))
			ctx, cancel := end(t.Context())
			if name == "Mock" {
				go func() { <-started; cancel() }()
			} else {
				defer cancel()
			}
			_, err := f.RoundTrip(get(t).WithContext(ctx))
			require.Error(t, err)
			assert.EqualValues(t, 1, f.member(t, "a").Failures)
		})
	}
}
