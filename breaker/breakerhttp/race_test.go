//go:build race

package breakerhttp_test

// The race detector allocates.
const raceEnabled = true
