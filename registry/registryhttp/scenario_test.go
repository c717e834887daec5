package registryhttp_test

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Scenario 22: the first instance refuses the connection.
func TestS22_RefusedConnection(t *testing.T) {
	var texts []string
	f := newFixture(t, network{"b": func(req *http.Request) (*http.Response, error) {
		text, err := io.ReadAll(req.Body)
		texts = append(texts, string(text))
		req.Body.Close()
		return response(req, 200, newScript("answer"), -1), err
	}}, named("a", "b"))
	req := newRequest(t, http.MethodPut, newUpload("payload"))
	asked := 0
	req.GetBody = func() (io.ReadCloser, error) {
		asked++
		return newUpload("payload"), nil
	}
	before := pictureOf(req)

	resp, err := f.RoundTrip(req)
	require.NoError(t, err)
	assert.Equal(t, 200, resp.StatusCode)
	assert.Equal(t, before, pictureOf(req))
	assert.Equal(t, 1, asked)
	assert.Equal(t, []string{"payload"}, texts)
	s := f.stats(t)
	assert.InDelta(t, 9, s.RetryTokens, 0)
	assert.Equal(t, uint64(1), s.Retries)
	assert.Equal(t, 1, f.inFlight())
	_, err = resp.Body.Read(make([]byte, 3))
	require.NoError(t, err)
	assert.Equal(t, 1, f.inFlight())
	resp.Body.Close()
	assert.Zero(t, f.inFlight())
	assert.Equal(t, []string{"a failure", "b success"}, f.outcomes())
}

// Scenario 22: a POST whose body cannot be rewound is not sent again, not even
// if nothing was sent: the body is gone.
func TestS22_BodyThatCannotBeRewound(t *testing.T) {
	f := newFixture(t, network{"b": answer(200, "")}, named("a", "b"))
	body := newUpload("payload")
	_, err := f.RoundTrip(newRequest(t, http.MethodPost, body))
	require.Equal(t, errRefused, err)
	assert.Equal(t, []string{"a failure"}, f.outcomes())
	assert.Equal(t, int64(1), body.closes.Load())
	assert.InDelta(t, 10, f.stats(t).RetryTokens, 0)
	assert.Zero(t, f.inFlight())
}

func newScript(text string) *script { return &script{reads: []read{{text, nil}}} }
