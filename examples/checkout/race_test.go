//go:build race

package main

// raceEnabled: the race detector slows everything down.
const raceEnabled = true
