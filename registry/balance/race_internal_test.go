//go:build race

package balance

// underRace: pure arithmetic takes ten times as long with the race detector, and
// there is nothing in it for that to find.
const underRace = true
