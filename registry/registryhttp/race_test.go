//go:build race

package registryhttp_test

// The race detector allocates.
const raceEnabled = true
