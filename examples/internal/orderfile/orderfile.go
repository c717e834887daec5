// Package orderfile reads the orders of a shop from a file, one JSON object per line.
package orderfile

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
)

// An Order is one line of the file: what a customer wants, and what it costs.
type Order struct {
	ID       string `json:"id"`
	Customer string `json:"customer"`
	Item     string `json:"item"`
	Quantity int64  `json:"quantity"`
	Cents    int64  `json:"cents"`
}

const (
	maxLine  = 64 << 10 // bytes
	maxText  = 128      // bytes; the ID of a run may have 256
	maxCount = 1e9      // so that no sum is too large
)

// Load reads a file: "" is the one that comes with the program, "-" is in.
func Load(name string, in io.Reader, shipped []byte) ([]Order, error) {
	switch name {
	case "":
		return Read("orders.jsonl", bytes.NewReader(shipped))
	case "-":
		return Read("stdin", in)
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	return Read(name, f)
}

// Read reads one order per line. Lines may be empty. The error tells
// everything that is wrong, each with the name and the line.
func Read(name string, r io.Reader) ([]Order, error) {
	var orders []Order
	var errs []error
	lines := make(map[string]int) // by ID
	s := bufio.NewScanner(r)
	s.Buffer(nil, maxLine)
	n := 0
	for s.Scan() {
		n++
		line := bytes.TrimSpace(s.Bytes())
		if len(line) == 0 {
			continue
		}
		o, problems := parse(line)
		if first, ok := lines[o.ID]; ok && o.ID != "" {
			problems = append(problems, fmt.Sprintf("id is %q, want another one than in line %d", o.ID, first))
		}
		for _, p := range problems {
			errs = append(errs, fmt.Errorf("%s:%d: %s", name, n, p))
		}
		lines[o.ID] = n
		orders = append(orders, o)
	}
	switch err := s.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		errs = append(errs, fmt.Errorf("%s:%d: the line is longer than %d bytes", name, n+1, maxLine))
	case err != nil:
		errs = append(errs, fmt.Errorf("%s:%d: %w", name, n+1, err))
	case len(orders) == 0:
		errs = append(errs, fmt.Errorf("%s: there is no order", name))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return orders, nil
}

// parse reads a line, and tells each field that is not as it should be.
func parse(line []byte) (o Order, problems []string) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(line, &fields); err != nil || fields == nil {
		return o, []string{fmt.Sprintf("the line is %s, want a JSON object", excerpt(line))}
	}
	wrong := func(name string, value []byte, want string) {
		problems = append(problems, fmt.Sprintf("%s is %s, want %s", name, excerpt(value), want))
	}
	take := func(name string, into any, want string, good func() bool) {
		value, ok := fields[name]
		delete(fields, name)
		switch {
		case !ok:
			problems = append(problems, fmt.Sprintf("%s is missing, want %s", name, want))
		case json.Unmarshal(value, into) != nil || !good():
			wrong(name, value, want)
		}
	}
	name := fmt.Sprintf("1 to %d bytes of text", maxText)
	take("id", &o.ID, name, func() bool { return o.ID != "" && len(o.ID) <= maxText })
	take("customer", &o.Customer, name, func() bool { return o.Customer != "" && len(o.Customer) <= maxText })
	take("item", &o.Item, name, func() bool { return o.Item != "" && len(o.Item) <= maxText })
	take("quantity", &o.Quantity, "1 to 1000000000", func() bool { return o.Quantity >= 1 && o.Quantity <= maxCount })
	take("cents", &o.Cents, "1 to 1000000000", func() bool { return o.Cents >= 1 && o.Cents <= maxCount })
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		wrong(fmt.Sprintf("%q", name), fields[name], "no such field")
	}
	return o, problems
}

// excerpt is the beginning of some JSON.
func excerpt(value []byte) string {
	const most = 40
	if len(value) > most {
		return fmt.Sprintf("%q...", value[:most])
	}
	if json.Valid(value) {
		return string(value)
	}
	return fmt.Sprintf("%q", value)
}
