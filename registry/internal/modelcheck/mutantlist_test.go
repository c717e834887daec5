//go:build !race

package modelcheck

// The faults are of the kind that a change to the registry may bring about. A
// few are planted for every change to the repository.
var mutants = []mutant{
	{
		"a lease is alive at its deadline", "expire.go",
		"case d == held || now >= d:",
		"case d == held || now > d:",
		"TestWalk",
	},
	{
		"a read does not look at the instant of expiry", "service.go",
		"s.reg.schedule.now() >= due",
		"s.reg.schedule.now() > due",
		"TestWalk",
	},
	{
		"readers are told of the latest expiry", "roster.go",
		"return min(r.terms.due(), r.shades.due())",
		"return max(r.terms.due(), r.shades.due())",
		"TestWalk",
	},
	{
		"a superseded lease can be renewed", "expire.go",
		"		case d == dead:\n			return lost",
		"		case d == dead:\n			return renewed",
		"TestWalk",
	},
	{
		"a lost lease acts for the present holder", "lease.go",
		"	if m.local() != c || !c.term.alive() {\n		return l.lost(op)\n	}",
		"	if m == nil {\n		return l.lost(op)\n	}\n	c = m.claims[0]",
		"TestWalk",
	},
	{
		"the index goes back when a service vanishes", "registry.go",
		"absent.index >= last ||",
		"absent.index > 0 ||",
		"TestWalk",
	},
	{
		"equal content keeps the old generation", "publish.go",
		"case before.in != c.in || before.generation != c.generation:",
		"case before.in == nil:",
		"TestWalk",
	},
	{
		"holding has no end", "expire.go",
		"		x.began = at\n",
		"		x.began = never\n",
		"TestWalk",
	},
	{
		"a batch is shown one by one", "register.go",
		"			g.register(leases[g.at[k]], &b)\n",
		"			g.register(leases[g.at[k]], &b)\n			g.publish(b)\n			b = batch{}\n",
		"TestLinear",
	},
	{
		"a verb publishes in another critical section", "lease.go",
		"	do(c.r, m, c, &b)\n",
		"	do(c.r, m, c, &b)\n	c.r.mu.Unlock()\n	_ = l.reg.schedule.now()\n	c.r.mu.Lock()\n",
		"TestLinear",
	},
	{
		"a verb goes on with a roster that was released", "roster.go",
		"	r.mu.Lock()\n	if r.released {\n		r.mu.Unlock()\n		return false\n	}\n",
		"	r.mu.Lock()\n",
		"TestLinear",
	},
	{
		"a read looks at the view once", "service.go",
		"		if v := r.view.Load(); v != nil && r.due.Load() == never && r.view.Load() == v {",
		"		v := r.view.Load()\n		_ = s.reg.schedule.now()\n		if v != nil && r.due.Load() == never {",
		"TestLinear",
	},
}

// More are planted with MAINSTAY_DEEP.
var moreMutants = []mutant{
	{
		"expiry comes a nanosecond late", "expire.go",
		"		t.key = after(now, ttl)",
		"		t.key = after(now, ttl+1)",
		"TestWalk",
	},
	{
		"a verb does not look at the clock first", "roster.go",
		"	r.sweep()\n	return true",
		"	r.now = r.reg.schedule.now()\n	return true",
		"TestWalk",
	},
	{
		"verbs of a lost lease return nil", "lease.go",
		"if m.local() != c || !c.term.alive() {",
		"if m.local() == nil {",
		"TestWalk",
	},
	{
		"a renewal shortens", "expire.go",
		"CompareAndSwap(d, max(d, after(now, time.Duration(ttl))))",
		"CompareAndSwap(d, min(d, after(now, time.Duration(ttl))))",
		"TestWalk",
	},
	{
		"another TTL counts from now", "expire.go",
		"max(now, after(d-int64(old), ttl))",
		"max(now+0*int64(old), after(now, ttl))",
		"TestWalk",
	},
	{
		"the index does not move", "publish.go",
		"next.index = r.reg.index.Add(1)",
		"next.index = max(2, r.reg.index.Load())",
		"TestWalk",
	},
	{
		"the index moves for nothing", "publish.go",
		"visible := len(b.changes) > 0 ||",
		"visible := len(b.changes)+len(b.silent) > 0 ||",
		"TestWalk",
	},
	{
		"a generation is given twice", "register.go",
		"r.reg.births.Add(1)",
		"max(1, r.reg.births.Add(1)/2)",
		"TestWalk",
	},
	{
		"IfAbsent looks at one of several", "register.go",
		"			case ifAbsent:",
		"			case ifAbsent && in == g.ins[0]:",
		"TestWalk",
	},
	{
		"a registration forgets what an operator said", "member.go",
		"		before = m.claims[0]\n",
		"		before, m.operator = m.claims[0], word{}\n",
		"TestWalk",
	},
	{
		"what expires at once has the order of IDs", "expire.go",
		"	if c := cmp.Compare(a.key, b.key); c != 0 {",
		"	if c := cmp.Compare(a.key/1e7, b.key/1e7); c != 0 {",
		"TestWalk",
	},
	{
		"the share of a window is rounded down", "expire.go",
		"int(math.Ceil(x.rule.share*float64(terms)-1e-9))",
		"int(x.rule.share*float64(terms))",
		"TestWalk",
	},
	{
		"the least number of leases has to be exceeded", "expire.go",
		"terms >= x.rule.least",
		"terms > x.rule.least",
		"TestWalk",
	},
	{
		"what is held cannot be restored", "lease.go",
		"	case lapsed: // it is held, since what is due has expired",
		"	case lapsed:\n		return false\n	case renewed + 9:",
		"TestWalk",
	},
	{
		"what is held does not show", "roster.go",
		"		b.refresh(r.members[t.id])",
		"		_ = t.id",
		"TestWalk",
	},
	{
		"a verb publishes after it has returned", "byhand.go",
		"	ro.publish(b)\n",
		"	go func() {\n		ro.mu.Lock()\n		defer ro.mu.Unlock()\n		ro.publish(b)\n	}()\n",
		"TestLinear",
	},
	{
		"a new roster begins with an index of before", "registry.go",
		"		ro.view.Store(r.absent.Load())\n		ro.now = r.schedule.now()\n",
		"		absent := r.absent.Load()\n		ro.now = r.schedule.now()\n		ro.view.Store(&Snapshot{index: (absent.index + 1) / 2})\n",
		"TestLinear",
	},
	{
		"a name without roster has an index of before", "service.go",
		"		r := s.roster()\n		if r == nil {\n			if s.reg.absent.Load() == absent {",
		"		_ = s.reg.schedule.now()\n		r := s.roster()\n		if r == nil {\n			if absent != nil {",
		"TestLinear",
	},
	{
		"a superseded owner's drain goes on", "member.go",
		"		if !m.drain.operator {",
		"		if m.drain == nil {",
		"TestLinear",
	},
	{
		"a registration ends an operator's drain", "member.go",
		"		if !m.drain.operator {",
		"		if m.drain != nil {",
		"TestLinear",
	},
	{
		"what was renewed expires all the same", "expire.go",
		"	if d > at || !t.deadline.CompareAndSwap(d, to) {",
		"	if t.deadline.Store(to); d == never {",
		"TestWalk",
	},
	{
		"an expiry wins over a renewal of before", "expire.go",
		"	if d > at || !t.deadline.CompareAndSwap(d, to) {",
		"	for range 200_000 {\n		t.ttl.Load()\n	}\n	if d <= at {\n		t.deadline.Store(to)\n	} else {",
		"TestLinear",
	},
	{
		"a read goes by the view of before its look at the clock", "service.go",
		"		if r.view.Load() == v {",
		"		if v != nil {",
		"TestLinear",
	},
}
