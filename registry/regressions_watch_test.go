package registry_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/registry"
)

// A hooked is a context that counts who waits for its end.
type hooked struct {
	context.Context //nolint:containedctx // it is one
	hooks           int
}

func (c *hooked) Done() <-chan struct{} { return make(chan struct{}) }

func (c *hooked) AfterFunc(func()) func() bool {
	c.hooks++
	return func() bool { c.hooks--; return true }
}

// G18: leaving a loop, and an error at its beginning, leave nothing behind in a
// context that lives on.
func TestG18_NothingIsLeftInTheContext(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	c := &hooked{Context: t.Context()}
	_, err := r.Service("orders").Wait(c, 0)
	require.NoError(t, err)
	for _, err := range r.Service("orders").Watch(c) {
		require.NoError(t, err)
		assert.Equal(t, 1, c.hooks)
		break
	}
	assert.Zero(t, c.hooks)
	require.NoError(t, r.Close(t.Context()))
	_, err = r.Service("orders").Wait(c, 0)
	require.ErrorIs(t, err, registry.ErrClosed)
	assert.Zero(t, c.hooks)
}

// Err of a handle that no service can have.
func TestService_ErrOfBadNames(t *testing.T) {
	r := newRegistry(t, registry.Config{})
	for _, name := range []string{"", "not a name/", "\x00"} {
		var e *registry.Error
		require.ErrorAs(t, r.Service(name).Err(), &e)
		assert.Equal(t, "Service", e.Field)
	}
	assert.NoError(t, r.Service("orders").Err())
}
