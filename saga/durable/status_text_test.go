package durable_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
	"github.com/mainstay-go/mainstay/saga/durable"
)

// A store may keep heads as JSON: whatever their status and their reason, they come back
// as they were.
func TestHead_JSON(t *testing.T) {
	at := time.Date(2024, 2, 29, 23, 59, 59, 123456789, time.UTC)
	for status := saga.Status(0); status <= saga.Abandoned; status++ {
		for reason := saga.ReasonNone; reason <= saga.ReasonJournalUnreadable; reason++ {
			h := durable.Head{
				ID: "order-42", Saga: "checkout", Fingerprint: "f1", Step: "charge", Status: status, Reason: reason, Attempt: 2, InFlight: true,
				Rev: 7, Epoch: 3, Owner: "a", LeaseUntil: at.Add(time.Minute), WakeAt: at, CreatedAt: at, UpdatedAt: at, Labels: map[string]string{"shop": "7"},
			}
			data, err := json.Marshal(h)
			require.NoError(t, err)
			assert.Contains(t, string(data), `"Status":"`+status.String()+`","Reason":"`+reason.String()+`"`)
			var back durable.Head
			require.NoError(t, json.Unmarshal(data, &back))
			assert.Equal(t, h, back)
		}
	}
}

// So is what a page of operators asks for, and what it is told.
func TestQuery_JSON(t *testing.T) {
	q := durable.Query{Saga: "checkout", Status: []saga.Status{saga.Stuck, saga.Compensating}}
	data, err := json.Marshal(q)
	require.NoError(t, err)
	assert.Contains(t, string(data), `"Status":["stuck","compensating"]`)
	var back durable.Query
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Equal(t, q, back)

	event := durable.Event{N: 1, Kind: "failed", Step: "charge", Attempt: 1, Outcome: saga.Rejected, Reason: saga.ReasonUndoFailed}
	data, err = json.Marshal(event)
	require.NoError(t, err)
	assert.Contains(t, string(data), `"Outcome":"rejected"`)
	var again durable.Event
	require.NoError(t, json.Unmarshal(data, &again))
	assert.Equal(t, event, again)
}
