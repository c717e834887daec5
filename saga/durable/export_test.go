package durable

// MemoryWatchers is how many channels a store sends hints to.
func MemoryWatchers(s *MemoryStore) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.watchers)
}

// MemorySlots is how many runs a store has room for in its order, and how many it
// has.
func MemorySlots(s *MemoryStore) (slots, runs int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.slots), len(s.runs)
}

// MemoryScan is how many runs List looks at before it lets others have a turn.
const MemoryScan = memoryScan
