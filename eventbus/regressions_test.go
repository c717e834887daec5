package eventbus_test

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/eventbus"
)

// Each failure of an import left a trace among those remembered, so that one that
// failed time and again pushed out what had been accepted.
func TestRegression_G39_FailuresPushNothingOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, x := newTopic[order](t, eventbus.Config{}, eventbus.TopicConfig{})
		j, _ := subscribe(t, x, eventbus.SubscribeConfig[order]{})
		l, _ := links()
		attach(t, b, l, both)
		synctest.Wait()
		good := eventbus.Encoded{ID: "good", Topic: "x", Data: []byte(`{"ID":1}`)}
		require.NoError(t, l.arrive(bg, good))
		bad := eventbus.Encoded{ID: "bad", Topic: "x", Data: []byte(`{`)}
		for range 5000 {
			require.Error(t, l.arrive(bg, bad))
		}
		require.NoError(t, l.arrive(bg, good))
		bad.Data = []byte(`{"ID":2}`)
		require.NoError(t, l.arrive(bg, bad))
		// Of those accepted the last 4096 are remembered.
		for i := range 4096 - 2 {
			require.NoError(t, l.arrive(bg, eventbus.Encoded{ID: fmt.Sprint(i), Topic: "x", Data: []byte(`{"ID":3}`)}))
		}
		require.NoError(t, l.arrive(bg, good))
		require.NoError(t, l.arrive(bg, bad))
		require.NoError(t, l.arrive(bg, eventbus.Encoded{ID: "one more", Topic: "x", Data: []byte(`{"ID":4}`)}))
		require.NoError(t, l.arrive(bg, good), "forgotten by now")
		closed(t, b)
		counts := make(map[int]int)
		for _, o := range j.data() {
			counts[o.ID]++
		}
		assert.Equal(t, map[int]int{1: 2, 2: 1, 3: 4094, 4: 1}, counts)
	})
}
