package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"
)

// The format of Export: an object with the fields version and instances, in
// this order. Healths are their names.
const exportVersion = 1

const defaultImportTTL = 5 * time.Minute

// exported is an instance in the format.
type exported struct {
	Service    string            `json:"service"`
	ID         string            `json:"id"`
	Addr       string            `json:"addr"`
	Scheme     string            `json:"scheme,omitempty"`
	ServerName string            `json:"serverName,omitempty"`
	Version    string            `json:"version,omitempty"`
	Zone       string            `json:"zone,omitempty"`
	Weight     int               `json:"weight"`
	Tags       []string          `json:"tags,omitempty"`
	Meta       map[string]string `json:"meta,omitempty"`
	Health     string            `json:"health"`
}

// Export writes every instance as JSON, without TTL, Check and Attrs, with the
// health that its owner, its check, an operator or its feed gives. The instances
// of one service are those of one instant.
func (r *Registry) Export(w io.Writer) error {
	if err := r.usable(); err != nil {
		return err
	}
	if w == nil {
		return errNilWriter
	}
	if _, err := fmt.Fprintf(w, `{"version":%d,"instances":[`, exportVersion); err != nil {
		return err
	}
	sep := "\n"
	for _, name := range slices.Collect(r.Services()) {
		for _, one := range r.export(name) {
			b, err := json.Marshal(one)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(w, "%s%s", sep, b); err != nil {
				return err
			}
			sep = ",\n"
		}
	}
	_, err := io.WriteString(w, "\n]}\n")
	return err
}

func (r *Registry) export(name string) []exported {
	ro := r.lookup(name)
	if ro == nil {
		return nil
	}
	defer ro.unlock(another)
	all := make([]exported, 0, len(ro.members))
	for _, id := range sortedKeys(ro.members) {
		m := ro.members[id]
		in := m.claims[0].in
		all = append(all, exported{
			in.Service, in.ID, in.Addr, in.Scheme, in.ServerName, in.Version, in.Zone, in.Weight,
			in.Tags, in.Meta, m.told().health.String(), // never changed, so they need no copy
		})
	}
	return all
}

// Import takes what [Registry.Export] wrote, with "import" as the origin, and
// tells how many instances it took. Each holds for ttl unless it is imported
// again. Zero: 5m. Negative: it does not expire. Import is below everything else:
// what is known already is left alone, whoever registers or feeds an imported ID
// takes its place, and Sync does not put it.
//
// A record that is bad, not allowed or too much is refused alone and named in
// the error. So is the rest if the JSON is broken.
func (r *Registry) Import(ctx context.Context, rd io.Reader, ttl time.Duration) (int, error) {
	if err := r.usable(); err != nil {
		return 0, err
	}
	if ctx == nil {
		return 0, errNilContext
	}
	if rd == nil {
		return 0, errNilReader
	}
	if ctx.Err() != nil {
		return 0, context.Cause(ctx)
	}
	if r.closed.Load() {
		return 0, &Error{Op: OpImport, Kind: ErrClosed}
	}
	recs, errs := r.readExport(ctx, rd, or(ttl, defaultImportTTL))
	taken, more := r.imports.take(recs)
	return taken, join(append(errs, more...))
}

// readExport reads all records that can be read and are allowed.
func (r *Registry) readExport(ctx context.Context, rd io.Reader, ttl time.Duration) (recs []Record, errs []error) {
	dec := json.NewDecoder(rd)
	fail := func(err error) ([]Record, []error) {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return recs, append(errs, &Error{Op: OpImport, Err: fmt.Errorf("after %d bytes: %w", dec.InputOffset(), &brief{err})})
	}
	if err := readHead(dec); err != nil {
		return fail(err)
	}
	for dec.More() {
		var one exported
		switch err := dec.Decode(&one); {
		case isType(err):
			errs = append(errs, &Error{Op: OpImport, Service: one.Service, ID: or(one.ID, one.Addr), Err: &brief{err}})
			continue
		case err != nil:
			return fail(err)
		}
		rec, err := one.record(ttl)
		if err == nil {
			err = r.authorize(ctx, OpImport, rec.Instance)
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		recs = append(recs, rec)
	}
	if err := expect(dec, json.Delim(']'), json.Delim('}')); err != nil {
		return fail(err)
	}
	return recs, errs
}

// readHead reads what comes before the first record.
func readHead(dec *json.Decoder) error {
	if err := expect(dec, json.Delim('{'), "version"); err != nil {
		return err
	}
	var version int
	if err := dec.Decode(&version); err != nil {
		return err
	}
	if version != exportVersion {
		return &fieldError{"version", version, fmt.Sprint(exportVersion)}
	}
	return expect(dec, "instances", json.Delim('['))
}

// expect reads tokens that have to be there.
func expect(dec *json.Decoder, want ...json.Token) error {
	for _, w := range want {
		got, err := dec.Token()
		if err != nil {
			return err
		}
		if got != w {
			return fmt.Errorf("got %s, want %v", quoted(fmt.Sprint(got)), w)
		}
	}
	return nil
}

// A brief error is one whose text may hold anything that somebody imported.
type brief struct{ err error }

func (b *brief) Error() string {
	text := b.err.Error()
	const most = 256
	if len(text) <= most && printable(text) {
		return text
	}
	return quoted(text)
}

func (b *brief) Unwrap() error { return b.err }

// isType reports whether an error of the decoder is about one value only.
func isType(err error) bool {
	var t *json.UnmarshalTypeError
	return errors.As(err, &t)
}

// record is what an exported instance stands for.
func (e *exported) record(ttl time.Duration) (Record, error) {
	var h Health
	if h.UnmarshalText([]byte(e.Health)) != nil || h == 0 {
		p := problems{&fieldError{"Health", e.Health, "the name of a health"}}
		return Record{}, p.of(OpImport, e.Service, or(e.ID, e.Addr))
	}
	return Record{
		Instance: Instance{
			Service: e.Service, ID: e.ID, Addr: e.Addr, Scheme: e.Scheme, ServerName: e.ServerName,
			Version: e.Version, Zone: e.Zone, Weight: e.Weight, TTL: ttl, Tags: e.Tags, Meta: e.Meta,
		},
		Health: h,
	}, nil
}

// take enlists what was imported.
func (f *feed) take(recs []Record) (taken int, errs []error) {
	f.mu.Lock()
	work, errs := f.sort(Batch{Put: recs})
	taken, refused, owed := f.applyAll(work, false)
	f.mu.Unlock()
	deliverAll(owed)
	return taken, append(errs, refused...)
}
