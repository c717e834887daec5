//go:build race

package registrytest_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
