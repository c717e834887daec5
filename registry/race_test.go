//go:build race

package registry_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
