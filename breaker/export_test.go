package breaker

import "unsafe"

// BreakerSize is what one breaker with a ConsecutiveFailures rule takes, alone,
// name and settings not counted: these are shared, or the user's.
const BreakerSize = unsafe.Sizeof(Breaker{}) + unsafe.Sizeof(epoch{}) + unsafe.Sizeof(stay{}) +
	unsafe.Sizeof(streak{}) + unsafe.Sizeof([1]counter{})

// PermitSize is that of a Permit, which callers keep on their stacks.
const PermitSize = unsafe.Sizeof(Permit{})
