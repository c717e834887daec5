package registrytest

import (
	"testing"

	"github.com/mainstay-go/mainstay/registry"
)

// Checks are the checks of TestBackend by their names, so that each can be shown
// to fail.
func Checks() map[string]func(testing.TB, func() registry.Backend) {
	checks := make(map[string]func(testing.TB, func() registry.Backend))
	for _, c := range conformance() {
		checks[c.name] = c.run
	}
	return checks
}
