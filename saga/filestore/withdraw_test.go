package filestore_test

import (
	"context"
	"errors"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga/filestore"
)

// Test_tooLateToWithdraw: a call that is being written when its context ends waits
// for the sync, and tells how that ended.
func Test_tooLateToWithdraw(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := filestore.NewMemDir(nil)
		s, err := filestore.OpenDir(d, filestore.Config{})
		require.NoError(t, err)
		synced := make(chan struct{})
		d.Before = func(op, _ string) error {
			if op == "sync" {
				<-synced
			}
			return nil
		}
		ctx, cancel := context.WithCancel(bg)
		done := make(chan error, 3)
		for i := range 3 {
			go func() {
				c := bg
				if i == 2 {
					c = ctx
				}
				done <- s.Create(c, head(strconv.Itoa(i)), 0, nil)
			}()
			synctest.Wait()
		}
		synced <- struct{}{}
		require.NoError(t, <-done)
		synctest.Wait() // the other two are being written
		cancel()
		synctest.Wait()
		require.Empty(t, done)
		synced <- struct{}{}
		require.NoError(t, <-done)
		require.NoError(t, <-done)
		require.Equal(t, 3, s.Stats().Runs)
		closeStore(t, s)
	})
}

// Test_withdrawnInTheMoment: contexts end at any moment, also when the call has
// just been told to write for the others. Nobody waits for ever, and what was
// withdrawn is not there.
func Test_withdrawnInTheMoment(t *testing.T) {
	s, err := filestore.OpenDir(filestore.NewMemDir(nil), filestore.Config{})
	require.NoError(t, err)
	const workers, rounds = 8, 1000
	var all sync.WaitGroup
	for w := range workers {
		all.Go(func() {
			for i := range rounds {
				id := strconv.Itoa(w) + "." + strconv.Itoa(i)
				ctx, cancel := context.WithCancel(bg)
				go cancel()
				err := s.Create(ctx, head(id), 0, nil)
				_, _, gone := s.Load(bg, id)
				assert.Equal(t, err == nil, gone == nil)
				assert.True(t, err == nil || errors.Is(err, context.Canceled), err)
				cancel()
			}
		})
	}
	all.Wait()
	closeStore(t, s)
}
