package balance

import "sync/atomic"

// Weighted gives endpoints picks in proportion to their weights.
type Weighted struct {
	// Smooth goes round instead of drawing: in every sum/gcd picks, sum and gcd
	// being those of the weights, each endpoint is chosen exactly as often as
	// its weight says, spread as evenly as it goes. If sum/gcd is above 16,384
	// it draws all the same.
	Smooth bool
}

// NewPicker implements [Policy].
func (w Weighted) NewPicker(c Candidates, old Picker) Picker {
	weights, equal := weightsOf(c.pool.list)
	if w.Smooth {
		if r := newRotation(weights); r != nil {
			p := &smooth{rotation: r}
			if o, ok := old.(*smooth); ok {
				p.next.Store(o.next.Load())
			}
			return p
		}
	}
	if equal {
		return Random{}.NewPicker(c, old)
	}
	return &drawn{newDraws(c)}
}

// drawn draws by weight.
type drawn struct{ draws *draws }

func (p *drawn) Pick(Query, int) int { return p.draws.one() }

// smooth goes round.
type smooth struct {
	rotation *rotation
	next     atomic.Uint64
}

func (p *smooth) Pick(Query, int) int { return p.rotation.at(p.next.Add(1) - 1) }
