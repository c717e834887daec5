package registry

import (
	"errors"
	"strconv"
)

// Health is how an instance is: higher is worse. The zero Health is no
// statement.
type Health uint8

// The healths. An instance has the worst that any of its sources says: its
// lease, its check, its owner, an operator and the feed it came from.
const (
	Passing  Health = iota + 1
	Warning         // usable, with a remark
	Starting        // no check has passed yet
	Stale           // its lease lapsed, but so did too many at once
	Critical        // its check fails
	Draining        // it finishes its calls and leaves
	Down            // out of use
)

var healthNames = [...]string{"none", "passing", "warning", "starting", "stale", "critical", "draining", "down"}

// Usable reports whether h is Passing or Warning.
func (h Health) Usable() bool { return h == Passing || h == Warning }

// String is the name in lower case.
func (h Health) String() string {
	if int(h) < len(healthNames) {
		return healthNames[h]
	}
	return "Health(" + strconv.Itoa(int(h)) + ")"
}

// MarshalText is String, so that healths read well in JSON. It never fails.
func (h Health) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText reads what MarshalText wrote. A text that names no health is an
// error.
func (h *Health) UnmarshalText(text []byte) error {
	for v := Health(0); v <= Down; v++ {
		if v.String() == string(text) {
			*h = v
			return nil
		}
	}
	return errors.New("registry: " + quoted(string(text)) + " is no Health")
}

// A word is what one source says.
type word struct {
	health Health
	reason string
}

// check refuses what nobody may say: Stale, which only a lease can be.
func (w word) check(p *problems) {
	p.check(w.health <= Down && w.health != Stale, "Health", w.health, "any but Stale")
	p.check(printable(w.reason) && len(w.reason) <= maxReason, "reason", w.reason, "up to 4096 bytes of valid UTF-8 without control characters")
}

const maxReason = 4096

// worst is the word that counts, of several; the first one of equal ones.
func worst(words ...word) word {
	w := word{health: Passing}
	for _, o := range words {
		if o.health > w.health || w.reason == "" && o.health == w.health {
			w = o
		}
	}
	return w
}
