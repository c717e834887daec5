package saga_test

import (
	"encoding"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/mainstay-go/mainstay/saga"
)

// enum is what the enumerations have in common.
type enum interface {
	fmt.Stringer
	encoding.TextMarshaler
}

// known are all values that there are, with their texts.
var known = []struct {
	value enum
	text  string
}{
	{saga.Unknown, "unknown"},
	{saga.Applied, "applied"},
	{saga.Rejected, "rejected"},
	{saga.Status(0), "none"},
	{saga.Running, "running"},
	{saga.Waiting, "waiting"},
	{saga.Compensating, "compensating"},
	{saga.Stuck, "stuck"},
	{saga.Completed, "completed"},
	{saga.Compensated, "compensated"},
	{saga.Abandoned, "abandoned"},
	{saga.ReasonNone, "no reason"},
	{saga.ReasonUndoFailed, "undo failed"},
	{saga.ReasonPivotUnknown, "pivot unknown"},
	{saga.ReasonForwardFailed, "forward failed"},
	{saga.ReasonDefinitionChanged, "definition changed"},
	{saga.ReasonCrashLoop, "crash loop"},
	{saga.ReasonJournalUnreadable, "journal unreadable"},
}

// read is the value of the type of another one that a text stands for.
func read(like enum, text string) (got enum, err error) {
	switch like.(type) {
	case saga.Outcome:
		v := saga.Outcome(77)
		err = v.UnmarshalText([]byte(text))
		return v, err
	case saga.Status:
		v := saga.Status(77)
		err = v.UnmarshalText([]byte(text))
		return v, err
	default:
		v := saga.Reason(77)
		err = v.UnmarshalText([]byte(text))
		return v, err
	}
}

// The three that nothing follows have ended.
func TestStatus_Ended(t *testing.T) {
	for s := saga.Status(0); s <= saga.Abandoned+1; s++ {
		assert.Equal(t, s == saga.Completed || s == saga.Compensated || s == saga.Abandoned, s.Ended(), s.String())
	}
}

func TestTexts(t *testing.T) {
	for _, k := range known {
		name := fmt.Sprintf("%T %s", k.value, k.text)
		assert.Equal(t, k.text, k.value.String(), name)
		text, err := k.value.MarshalText()
		require.NoError(t, err, name)
		assert.Equal(t, k.text, string(text), name)
		back, err := read(k.value, k.text)
		require.NoError(t, err, name)
		assert.Equal(t, k.value, back, name)
	}
}

// Numbers beyond those that there are: a text like Go's for a constant without a name,
// which nobody can read back.
func TestTexts_UnknownNumbers(t *testing.T) {
	for value, want := range map[enum]string{
		saga.Rejected + 1: "Outcome(3)", saga.Outcome(255): "Outcome(255)",
		saga.Abandoned + 1: "Status(8)", saga.Status(99): "Status(99)",
		saga.ReasonJournalUnreadable + 1: "Reason(7)", saga.Reason(255): "Reason(255)",
	} {
		assert.Equal(t, want, value.String())
		text, err := value.MarshalText()
		require.NoError(t, err, want)
		assert.Equal(t, want, string(text))
		_, err = read(value, want)
		assert.Error(t, err, want)
	}
}

// What is no text of the type is an error that says so, and changes nothing.
func TestTexts_UnknownTexts(t *testing.T) {
	for _, text := range []string{"", "Running", "running ", "running,waiting", ",", "1", "done", "\xff", strings.Repeat("x", 1000)} {
		for of, like := range map[string]enum{"Outcome": saga.Applied, "Status": saga.Stuck, "Reason": saga.ReasonCrashLoop} {
			got, err := read(like, text)
			require.ErrorContains(t, err, " is no "+of, "%.20q", text)
			require.ErrorContains(t, err, "saga: ")
			assert.Less(t, len(err.Error()), 400, "it is as long as the text")
			assert.Contains(t, got.String(), "(77)", "%.20q", text)
		}
	}
	for _, k := range known { // one type does not take the texts of another one
		for _, like := range []enum{saga.Applied, saga.Stuck, saga.ReasonCrashLoop} {
			if fmt.Sprintf("%T", like) != fmt.Sprintf("%T", k.value) {
				_, err := read(like, k.text)
				assert.Error(t, err, "%T %s", like, k.text)
			}
		}
	}
}

// An event is JSON that can be read, and read back.
func TestTexts_JSON(t *testing.T) {
	event := saga.StatusEvent{Saga: "checkout", Run: "r1", To: saga.Stuck, Reason: saga.ReasonCrashLoop}
	data, err := json.Marshal(event)
	require.NoError(t, err)
	assert.JSONEq(t, `{"Saga":"checkout","Run":"r1","From":"none","To":"stuck","Reason":"crash loop","Cause":null,"At":"0001-01-01T00:00:00Z"}`, string(data))
	var back saga.StatusEvent
	require.NoError(t, json.Unmarshal(data, &back))
	assert.Equal(t, event, back)

	counts := map[saga.Outcome]int{saga.Applied: 2, saga.Unknown: 1}
	data, err = json.Marshal(counts)
	require.NoError(t, err)
	assert.JSONEq(t, `{"applied":2,"unknown":1}`, string(data))
	var again map[saga.Outcome]int
	require.NoError(t, json.Unmarshal(data, &again))
	assert.Equal(t, counts, again)
}
