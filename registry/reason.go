package registry

// Reason tells what brought a [Change] or a [Removal] about.
type Reason string

// The reasons of changes; from ReasonDeregistered on they are removals.
const (
	ReasonRegistered   Reason = "registered"
	ReasonUpdated      Reason = "updated"
	ReasonHealth       Reason = "health"
	ReasonDeregistered Reason = "deregistered"
	ReasonExpired      Reason = "expired"
	ReasonDrained      Reason = "drained"
	ReasonUnhealthy    Reason = "unhealthy" // Critical for Check.RemoveAfter
	ReasonWithdrawn    Reason = "withdrawn" // its feed names it no more
)
