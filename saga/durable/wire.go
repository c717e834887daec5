package durable

import (
	"encoding/json"

	"github.com/mainstay-go/mainstay/saga/internal/core"
)

// encodeAll encodes events for the store: JSON, one object each.
func encodeAll(events []core.Event) ([][]byte, error) {
	all := make([][]byte, 0, len(events))
	for i := range events {
		if events[i].Brief {
			continue
		}
		data, err := json.Marshal(&events[i])
		if err != nil {
			return nil, err
		}
		all = append(all, data)
	}
	return all, nil
}

// damaged is an event that cannot be decoded, which no program knows.
const damaged core.Kind = "damaged"

// decodeAll is the inverse of encodeAll. What is damaged is for the program to find.
func decodeAll(all [][]byte) []core.Event {
	events := make([]core.Event, len(all))
	for i, data := range all {
		if err := json.Unmarshal(data, &events[i]); err != nil {
			events[i] = core.Event{Kind: damaged, Err: err.Error(), Data: data}
		}
	}
	return events
}
