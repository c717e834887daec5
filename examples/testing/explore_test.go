package shop_test

import (
	"fmt"
	"testing"
	"time"

	shop "github.com/mainstay-go/mainstay/examples/testing"
	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/sagatest"
)

// The tests beside this one are about what they think of. Explore thinks of the rest:
// every attempt and every compensation fails, before its effect and after it, and the
// process dies at every write, each of it in a bubble of its own. All that has to be said
// is how the world begins, and what holds in the end. MaxSchedules is what there is time
// for here; without it there are a hundred thousand.
func TestOrder_explored(t *testing.T) {
	var w *world
	sagatest.Explore(t, sagatest.Explorer[shop.Order]{
		Setup: func() (*saga.Saga[shop.Order], shop.Order) {
			w = newWorld(func() time.Duration { return 0 })
			return shop.Orders(w, w), shop.Order{Item: "lamp", Cents: 4900}
		},
		Check: func(end saga.Status, _ shop.Order) error {
			if done := end == saga.Completed; len(w.reserved) == 1 != done || w.total() == 4900 != done {
				return fmt.Errorf("there is %v, charged %v", w.reserved, w.charged)
			}
			return nil
		},
		MaxSchedules: 200,
	})
}
