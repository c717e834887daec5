package eventbustest_test

import (
	"math"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// expecting is what a test is told that publishes these events, and then
// expects something of their recorder.
func expecting[T any](tb testing.TB, published []T, expect func(*eventbustest.Recorder[T])) string {
	tb.Helper()
	tried := try(tb, func(tb *trial) {
		bus := eventbustest.NewBus(tb, eventbus.Config{})
		x := topicOf[T](tb, bus, "x", eventbus.TopicConfig{})
		r := eventbustest.Record(tb, bus, x)
		publish(tb, x, published...)
		expect(r)
	})
	assert.False(tb, tried.stopped, "an expectation lets the test go on")
	return tried.said()
}

// K6: exactly these, in this order.
func TestExpect(t *testing.T) {
	for name, c := range map[string]struct {
		got, want []int
		differs   string // "" if nothing does
	}{
		"none":            {nil, nil, ""},
		"same":            {[]int{1, 2, 3}, []int{1, 2, 3}, ""},
		"missing":         {[]int{1, 2}, []int{1, 2, 3}, "the first difference is at [2]:"},
		"too many":        {[]int{1, 2, 3}, []int{1, 2}, "the first difference is at [2]:"},
		"nothing came":    {nil, []int{1}, "the first difference is at [0]:"},
		"nothing awaited": {[]int{1}, nil, "the first difference is at [0]:"},
		"another":         {[]int{1, 2, 3}, []int{1, 7, 3}, "the first difference is at [1]:"},
		"order":           {[]int{1, 3, 2}, []int{1, 2, 3}, "the first difference is at [1]:"},
		"twice":           {[]int{1, 1, 2}, []int{1, 2}, "the first difference is at [1]:"},
	} {
		t.Run(name, func(t *testing.T) {
			said := expecting(t, c.got, func(r *eventbustest.Recorder[int]) { r.Expect(c.want...) })
			if c.differs == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, said, `eventbustest: the events of topic "x" are not those expected; `+c.differs)
		})
	}
}

// K6: these, in this order, and others between.
func TestExpectSome(t *testing.T) {
	for name, c := range map[string]struct {
		got, want []int
		missing   string // "" if nothing is
	}{
		"none":         {nil, nil, ""},
		"none wanted":  {[]int{1}, nil, ""},
		"same":         {[]int{1, 2}, []int{1, 2}, ""},
		"between":      {[]int{9, 1, 9, 2, 9}, []int{1, 2}, ""},
		"equal ones":   {[]int{1, 9, 1}, []int{1, 1}, ""},
		"nothing came": {nil, []int{1}, "from [0] on there is none that is expected as [0]:"},
		"order":        {[]int{2, 1, 9}, []int{1, 2}, "from [2] on there is none that is expected as [1]:"},
		"again":        {[]int{1, 2, 3}, []int{1, 2, 2}, "from [2] on there is none that is expected as [2]:"},
		"once only":    {[]int{1}, []int{1, 1}, "from [1] on there is none that is expected as [1]:"},
	} {
		t.Run(name, func(t *testing.T) {
			said := expecting(t, c.got, func(r *eventbustest.Recorder[int]) { r.ExpectSome(c.want...) })
			if c.missing == "" {
				assert.Empty(t, said)
				return
			}
			assert.Contains(t, said, `eventbustest: among the events of topic "x" `+c.missing)
		})
	}
}

// K6: a failure shows both lists, and where they differ.
func TestExpectShowsBothLists(t *testing.T) {
	type order struct {
		ID   int
		Item string
	}
	said := expecting(t, []order{{1, "tea"}, {2, "milk"}}, func(r *eventbustest.Recorder[order]) {
		r.Expect(order{1, "tea"}, order{2, "cream"}, order{3, "sugar"})
		r.ExpectSome(order{2, "milk"}, order{1, "tea"})
	})
	assert.Equal(t, `eventbustest: the events of topic "x" are not those expected; the first difference is at [1]:
got, 2 in all:
	  [0] {ID:1 Item:tea}
	> [1] {ID:2 Item:milk}
want, 3 in all:
	  [0] {ID:1 Item:tea}
	> [1] {ID:2 Item:cream}
	  [2] {ID:3 Item:sugar}

eventbustest: among the events of topic "x" from [2] on there is none that is expected as [1]:
got, 2 in all:
	  [0] {ID:1 Item:tea}
	  [1] {ID:2 Item:milk}
	> [2] none
want, 2 in all:
	  [0] {ID:2 Item:milk}
	> [1] {ID:1 Item:tea}
`, said)
}

// K6: of long lists it shows what is around.
func TestExpectShortensLongLists(t *testing.T) {
	var got, want []int
	for i := range 100 {
		got, want = append(got, i), append(want, i)
	}
	want[50] = -1
	said := expecting(t, got, func(r *eventbustest.Recorder[int]) { r.Expect(want...) })
	assert.Contains(t, said, "got, 100 in all:\n\t  ... 40 before\n\t  [40] 40\n")
	assert.Contains(t, said, "\t> [50] 50\n")
	assert.Contains(t, said, "\t> [50] -1\n")
	assert.Contains(t, said, "\t  [60] 60\n\t  ... 39 after\nwant")
	assert.NotContains(t, said, "[39]")
	assert.NotContains(t, said, "[61]")
}

// K6: values are compared as reflect.DeepEqual does, and where they look the
// same although they are not, the failure says more of them.
func TestExpectComparesDeeply(t *testing.T) {
	type item struct{ Tags []string }
	same := expecting(t, []*item{{[]string{"a"}}}, func(r *eventbustest.Recorder[*item]) { r.Expect(&item{[]string{"a"}}) })
	assert.Empty(t, same)

	said := expecting(t, []any{int32(1)}, func(r *eventbustest.Recorder[any]) { r.Expect(int64(1)) })
	assert.Contains(t, said, "> [0] 1 of type int32\n")
	assert.Contains(t, said, "> [0] 1 of type int64\n")

	said = expecting(t, []item{{nil}}, func(r *eventbustest.Recorder[item]) { r.Expect(item{[]string{}}) })
	assert.Contains(t, said, "[]string(nil)")
	assert.Contains(t, said, "[]string{}")

	nan := expecting(t, []float64{math.NaN()}, func(r *eventbustest.Recorder[float64]) { r.Expect(math.NaN()) })
	assert.Contains(t, nan, "> [0] NaN")
}
