//go:build !race

package balance

const underRace = false
