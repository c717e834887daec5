package breakerhttp

import (
	"time"

	"github.com/mainstay-go/mainstay/breaker"
)

// date reads the clock that a Retry-After date is taken against. Nil: system
// time. Nothing else here looks at the time.
func date(c breaker.Clock) time.Time {
	if c == nil {
		return time.Now()
	}
	return c.Now()
}
