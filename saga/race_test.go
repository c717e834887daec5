//go:build race

package saga_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
