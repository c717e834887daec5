package eventbus

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
)

const specVersion = "1.0"

// MarshalJSON is the event in the JSON format of CloudEvents 1.0: its required
// attributes, subject, time, datacontenttype and data where there are any, and
// as extensions partitionkey (Key), sequence (Seq), topic, and the headers whose
// names are those of extensions: lower-case letters and digits. Data is marshalled
// by encoding/json. What CloudEvents do not allow is an error that names the
// attribute: control characters, a time outside of the years 0 to 9999, and an event
// without ID because it is still being published.
func (e Event[T]) MarshalJSON() ([]byte, error) {
	data, err := json.Marshal(e.Data)
	if err != nil {
		return nil, err
	}
	var w attributeWriter
	w.add("specversion", specVersion)
	w.required("id", e.ID())
	w.required("source", e.Source())
	w.required("type", e.Type())
	w.optional("subject", e.Subject())
	if at := e.Time().UTC(); !at.IsZero() {
		if y := at.Year(); y < 0 || y > 9999 {
			w.bad("time", at.String(), "a year from 0 to 9999")
		}
		w.add("time", at.Format(time.RFC3339Nano))
	}
	w.add("datacontenttype", jsonType)
	w.optional("partitionkey", e.Key())
	if e.Seq > 0 {
		w.add("sequence", strconv.FormatInt(e.Seq, 10))
	}
	w.optional("topic", e.Topic())
	for name, value := range e.Headers() {
		if extension(name) {
			w.add(name, value)
		}
	}
	w.field("data", data)
	if err := invalid("marshal an event", w.problems); err != nil {
		return nil, err
	}
	return w.end(), nil
}

// An attributeWriter writes a JSON object member by member.
type attributeWriter struct {
	b        bytes.Buffer
	problems []error
}

func (w *attributeWriter) bad(name, value, want string) {
	w.problems = append(w.problems, problem("attribute "+name, value, want))
}

func (w *attributeWriter) field(name string, value []byte) {
	if w.b.Len() == 0 {
		w.b.WriteByte('{')
	} else {
		w.b.WriteByte(',')
	}
	w.b.WriteString(strconv.Quote(name))
	w.b.WriteByte(':')
	w.b.Write(value)
}

func (w *attributeWriter) add(name, value string) {
	if !printable(value) {
		w.bad(name, value, "valid UTF-8 without control characters")
	}
	text, _ := json.Marshal(value) // a string cannot fail
	w.field(name, text)
}

func (w *attributeWriter) required(name, value string) {
	if value == "" {
		w.bad(name, value, "a text that is not empty")
	}
	w.add(name, value)
}

func (w *attributeWriter) optional(name, value string) {
	if value != "" {
		w.add(name, value)
	}
}

func (w *attributeWriter) end() []byte {
	w.b.WriteByte('}')
	return w.b.Bytes()
}

// extension reports whether a header may stand beside the attributes: its name
// is legal, and not that of one.
func extension(name string) bool {
	switch name {
	case "", "specversion", "id", "source", "type", "subject", "time", "datacontenttype", "dataschema",
		"data", "partitionkey", "sequence", "topic":
		return false
	}
	for i := range len(name) {
		if c := name[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}
