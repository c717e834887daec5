package breakerhttp_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/breaker"
	"github.com/mainstay-go/mainstay/breaker/breakerhttp"
)

// errCanceled is what net/http says when Request.Cancel comes first: nothing of
// time.
var errCanceled = errors.New("net/http: request canceled")

// untilCancel is a Body that hangs until the request is cancelled.
type untilCancel struct{ cancel <-chan struct{} }

func (b untilCancel) Read([]byte) (int, error) {
	<-b.cancel
	return 0, errCanceled
}

func (b untilCancel) Close() error { return nil }

// G42, G43: the Timeout of an http.Client is a deadline, although the client
// also cancels the old way, and Base may see that first. Then the breaker is
// told of the deadline, the caller gets the error as it is, and MinBudget
// holds, whoever classifies.
func TestClientTimeout(t *testing.T) {
	bases := map[string]roundTrip{
		"header": func(req *http.Request) (*http.Response, error) {
			<-req.Cancel //nolint:staticcheck // what http.Client sets
			return nil, errCanceled
		},
		"body": func(req *http.Request) (*http.Response, error) {
			return response(req, http.StatusOK, untilCancel{req.Cancel}, -1), nil //nolint:staticcheck // as above
		},
	}
	for name, base := range bases {
		for i := range 4 {
			hopeless, own := i&1 != 0, i&2 != 0
			t.Run(fmt.Sprintf("%s hopeless=%v own=%v", name, hopeless, own), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := breaker.Config{Trip: breaker.ConsecutiveFailures(1)}
					if hopeless {
						cfg.MinBudget = time.Hour
					}
					tcfg := breakerhttp.TransportConfig{Base: base, Group: breaker.GroupConfig[string]{Config: cfg}}
					if own {
						tcfg.Classify = func(req *http.Request, resp *http.Response, err error) breaker.Outcome {
							if err != nil {
								return breaker.Failure
							}
							return breakerhttp.DefaultClassify(req, resp, err)
						}
					}
					transport := breakerhttp.MustNewTransport(tcfg)
					client := &http.Client{Transport: transport, Timeout: time.Second}
					resp, err := client.Get("http://a/")
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						require.NoError(t, resp.Body.Close())
					}
					require.Error(t, err)
					s := transport.Group().Get("a").Snapshot()
					if hopeless {
						assert.Equal(t, breaker.Closed, s.State)
						assert.EqualValues(t, 1, s.Ignored)
						return
					}
					assert.Equal(t, breaker.Open, s.State)
					assert.ErrorIs(t, s.Cause, context.DeadlineExceeded)
					assert.ErrorIs(t, s.Cause, errCanceled)
				})
			})
		}
	}
}
