package eventbustest_test

import (
	"fmt"
	"os"
	"testing"

	"github.com/mainstay-go/mainstay/eventbus"
	"github.com/mainstay-go/mainstay/eventbus/eventbustest"
)

// passes runs a test, without what it prints, and reports whether it passed. It
// stands in for the go command.
func passes(name string, test func(*testing.T)) bool {
	stdout := os.Stdout
	defer func() { os.Stdout = stdout }()
	os.Stdout = nil
	all := func(string, string) (bool, error) { return true, nil }
	return testing.RunTests(all, []testing.InternalTest{{Name: name, F: test}})
}

// A test of an adapter is one call. Here are two buses joined in memory; a real
// adapter has a broker between them.
func ExampleTestBridge() {
	conforms := func(t *testing.T) {
		eventbustest.TestBridge(t, func(tb testing.TB) eventbustest.Pair {
			tb.Helper()
			near, far := newWires(fault{})
			pair := eventbustest.Pair{
				In:  eventbustest.NewBus(tb, eventbus.Config{Name: "in"}),
				Out: eventbustest.NewBus(tb, eventbus.Config{Name: "out"}),
			}
			carried := []string{"conformance.>"}
			_, err := pair.In.Attach(bg, far, eventbus.BridgeConfig{Import: carried})
			if err != nil {
				tb.Fatal(err)
			}
			_, err = pair.Out.Attach(bg, near, eventbus.BridgeConfig{Export: carried})
			if err != nil {
				tb.Fatal(err)
			}
			return pair
		})
	}
	fmt.Println(passes("TestAdapter", conforms))
	// Output: true
}

// Without a bridge, what is published on a bus reaches that bus.
func ExamplePair() {
	same := func(tb testing.TB) eventbustest.Pair {
		tb.Helper()
		bus := eventbustest.NewBus(tb, eventbus.Config{})
		return eventbustest.Pair{Out: bus, In: bus}
	}
	fmt.Println(passes("TestSame", func(t *testing.T) { eventbustest.TestBridge(t, same) }))
	// Output: true
}
