package registryhttp_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// G44: the body of a 101 can still be written to, and the instance is in use
// until it is closed.
func TestG44_UpgradeKeepsReadWriteCloser(t *testing.T) {
	conn := &duplex{ReadCloser: io.NopCloser(strings.NewReader("pong"))}
	f := newFixture(t, deliver(http.StatusSwitchingProtocols, func() io.ReadCloser { return conn }, 0), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	rwc, ok := resp.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	_, err = io.WriteString(rwc, "ping")
	require.NoError(t, err)
	assert.Equal(t, "ping", string(conn.written))
	buf := make([]byte, 4)
	_, err = io.ReadFull(rwc, buf)
	require.NoError(t, err)
	assert.Equal(t, "pong", string(buf))
	assert.Equal(t, 1, f.inFlight(), "a connection has no length")
	assert.Empty(t, f.take())
	require.NoError(t, rwc.Close())
	assert.Zero(t, f.inFlight())
	assert.Equal(t, success, f.one(t))
}

// G44: the end of what comes from the other side ends the use as well.
func TestG44_UpgradeEndsWithTheOtherSide(t *testing.T) {
	conn := &duplex{ReadCloser: io.NopCloser(strings.NewReader("bye"))}
	f := newFixture(t, deliver(http.StatusSwitchingProtocols, func() io.ReadCloser { return conn }, 0), named("a"), attemptTimeout)
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	assert.Equal(t, "bye", string(text))
	assert.Zero(t, f.inFlight())
	_, err = io.WriteString(resp.Body.(io.Writer), "bye")
	assert.NoError(t, err)
}

// G44: a body that cannot be written to does not pretend that it can.
func TestG44_PlainBodyHasNoWrite(t *testing.T) {
	f := newFixture(t, answer(200, "text"), named("a"))
	resp, err := f.RoundTrip(get(t))
	require.NoError(t, err)
	defer resp.Body.Close()
	_, ok := resp.Body.(io.Writer)
	assert.False(t, ok)
}
