package main

import (
	"bytes"
	"context"
	"net/http"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Somebody still looks at the page when all ends: the stream ends with it, and nobody
// waits for who looks.
func TestRun_somebodyLooks(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out lines
	var errs bytes.Buffer
	seen := make(chan string, 1)
	out.at("Look at http://", func(line string) { seen <- regexp.MustCompile(`http://\S+`).FindString(line) })
	ended := make(chan int, 1)
	args := []string{"-http", "127.0.0.1:0", "-for", "1s", "-faults", "none", "-orders", fewOrders(t, 10)}
	go func() { ended <- run(ctx, args, nil, &out, &errs) }()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, <-seen+"/events", http.NoBody)
	require.NoError(t, err)
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	resp, err := transport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	_, err = resp.Body.Read(make([]byte, 1))
	require.NoError(t, err)
	cancel()
	var rest bytes.Buffer
	_, err = rest.ReadFrom(resp.Body)
	assert.NoError(t, err, "the stream has an end")
	assert.Zero(t, <-ended, "%s", &out)
	assert.Empty(t, errs.String())
}
