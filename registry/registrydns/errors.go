package registrydns

import (
	"errors"
	"fmt"
)

// Misuse that has no field to name.
var (
	errZeroSource = errors.New("registrydns: nil or zero Source, use New")
	errNilContext = errors.New("registrydns: nil context")
	errNilDeliver = errors.New("registrydns: nil deliver")
	errRunning    = errors.New("registrydns: the Source runs already, every feed needs one of its own")
)

// problems collects what is wrong with a config.
type problems []error

func (p *problems) check(ok bool, field string, value any, want string) {
	if ok {
		return
	}
	if s, isText := value.(string); isText {
		value = quoted(s)
	}
	*p = append(*p, fmt.Errorf("%s is %v, want %s", field, value, want))
}

// words describe a value that has no text of its own.
type words string

// quoted is a string of any length and content, fit for a message.
func quoted(s string) string {
	const most = 64
	if len(s) > most {
		return fmt.Sprintf("%q... (%d bytes)", s[:most], len(s))
	}
	return fmt.Sprintf("%q", s)
}
