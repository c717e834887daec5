//go:build race

package balance_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
