//go:build race

package durable_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
