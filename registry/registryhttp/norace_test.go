//go:build !race

package registryhttp_test

const raceEnabled = false
