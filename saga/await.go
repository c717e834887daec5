package saga

import (
	"context"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// await waits for the signal of a step, and then has it applied. Only a durable run
// comes here.
func (r *run) await(ctx *origin, f *frame, i int) flow {
	n, m := &f.nodes[i], &f.marks[i]
	d := m.detail()
	if data, ok := r.signals[r.prog.Present(f.path(i))]; ok {
		d.signal = n.special.signal()
		if err := f.prog.codec.Unmarshal(data, d.signal); err != nil {
			return r.broken(f, i, Rejected, err)
		}
		return r.action(ctx, f, i)
	}
	limit := never
	if n.timeout > 0 {
		if !d.waits {
			d.reached = r.time.now()
		}
		limit = after(d.reached, n.timeout)
	}
	if r.time.now() < limit {
		if !d.waits {
			d.waits = true
			e := core.Event{Kind: core.Waiting, Step: f.path(i), Of: f.of(i)}
			if limit != never {
				e.Wake = r.time.date(limit)
			}
			r.note(e)
		}
		return r.park(f, limit)
	}
	if r.pivoted {
		r.stick(f.path(i), Rejected, context.DeadlineExceeded, ReasonForwardFailed)
		return stuck
	}
	r.fail(f.path(i), Rejected, context.DeadlineExceeded)
	return back
}
