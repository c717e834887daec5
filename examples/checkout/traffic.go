package main

import "sync"

// A traffic tells who has got how many of a service's calls lately. It counts in
// buckets of equal time.
type traffic struct {
	mu      sync.Mutex
	last    map[string]uint64 // calls so far, by instance
	service map[string]string // of instances
	buckets []map[string]uint64
}

const keptBuckets = 20

func newTraffic() *traffic {
	return &traffic{last: make(map[string]uint64), service: make(map[string]string)}
}

// A count is how many calls an instance has got so far.
type count struct {
	service, id string
	calls       uint64
}

// sample fills a bucket.
func (t *traffic) sample(counts []count) {
	t.mu.Lock()
	defer t.mu.Unlock()
	bucket := make(map[string]uint64)
	for _, c := range counts {
		last := t.last[c.id]
		if c.calls < last { // it has died, and counts anew
			last = 0
		}
		bucket[c.id] = c.calls - last
		t.last[c.id], t.service[c.id] = c.calls, c.service
	}
	t.buckets = append(t.buckets, bucket)
	if len(t.buckets) > keptBuckets {
		t.buckets = append(t.buckets[:0], t.buckets[1:]...)
	}
}

// share is that of an instance of the calls that its service has got, 0 to 1.
func (t *traffic) share(id string) float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	var own, all uint64
	for _, bucket := range t.buckets {
		for other, calls := range bucket {
			if t.service[other] == t.service[id] {
				all += calls
			}
		}
		own += bucket[id]
	}
	if all == 0 {
		return 0
	}
	return float64(own) / float64(all)
}
