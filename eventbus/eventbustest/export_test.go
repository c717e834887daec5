package eventbustest

import "testing"

// Checks are the checks of TestBridge by their names, so that each can be shown
// to fail.
func Checks() map[string]func(testing.TB, func(testing.TB) Pair) {
	checks := make(map[string]func(testing.TB, func(testing.TB) Pair))
	for _, c := range conformance() {
		checks[c.name] = c.run
	}
	return checks
}
