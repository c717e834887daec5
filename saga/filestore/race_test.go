//go:build race

package filestore_test

// raceEnabled: the race detector allocates, and slows everything down.
const raceEnabled = true
