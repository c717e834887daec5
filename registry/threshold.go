package registry

// An outcome is what one run of a check came to.
type outcome uint8

const (
	passed outcome = iota
	warned
	failed
)

// A threshold turns outcomes into a health: the pure core of a check. It is slow
// to condemn and slow to forgive, so that one lost packet moves nothing.
//
// What was never judged becomes usable with the first run that does not fail.
// Later, as many failures in a row as failures says make it Critical, and as many
// runs in a row without failure as successes says end that. A warning counts
// as no failure; while the health is not Critical it makes it Warning at once,
// and it takes successes passes in a row to be Passing again.
type threshold struct {
	failures, successes int

	health Health // 0: not judged yet, as Starting

	// In a row, up to the latest run.
	fails, goods, passes int
}

// next is the health after one more outcome.
func (t *threshold) next(o outcome) Health {
	if o == failed {
		t.fails, t.goods, t.passes = t.fails+1, 0, 0
		if t.fails >= t.failures {
			t.health = Critical
		}
		return t.health
	}
	t.fails, t.goods, t.passes = 0, t.goods+1, t.passes+1
	to := Passing
	if o == warned {
		to, t.passes = Warning, 0
	}
	switch t.health {
	case Critical:
		if t.goods >= t.successes {
			t.health = to
		}
	case Warning:
		if t.passes >= t.successes {
			t.health = Passing
		}
	default:
		t.health = to
	}
	return t.health
}
