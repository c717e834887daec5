package sagatest

import "testing"

// Checks are the checks of TestStore by their names, so that each can be shown to
// fail.
func Checks() map[string]func(testing.TB, Harness) {
	checks := make(map[string]func(testing.TB, Harness))
	for _, c := range conformance() {
		checks[c.name] = c.run
	}
	return checks
}
