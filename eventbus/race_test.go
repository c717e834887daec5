//go:build race

package eventbus_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
