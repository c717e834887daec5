package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"html/template"
	"io"
	"strconv"
)

//go:embed page.html
var markup string

//go:embed page.css
var style string

//go:embed page.js
var script string

var templates = template.Must(template.New("").Parse(markup))

// policy lets the browser run and apply what is in the page, by hash, and nothing
// else. The icon is in the page, too.
var policy = fmt.Sprintf("default-src 'none'; script-src %s; style-src %s; img-src data:; connect-src 'self'; "+
	"form-action 'self'; base-uri 'none'; frame-ancestors 'none'", hash(script), hash(style))

func hash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// A piece is a part of the page that is exchanged as a whole. The ID of an inner one
// begins with that of the outer one and a hyphen; outer ones come first.
type piece struct {
	ID   string        `json:"id"`
	Key  string        `json:"key"`  // of what it looks like; never ""
	HTML template.HTML `json:"html"` // inner pieces in it are empty

	full template.HTML // with the inner ones
}

// Inside is what the piece has in a document.
func (p piece) Inside() template.HTML {
	if p.full != "" {
		return p.full
	}
	return p.HTML
}

// document is the whole page.
func document(v View) ([]byte, error) {
	all, err := pieces(v)
	if err != nil {
		return nil, err
	}
	byID := make(map[string]piece, len(all))
	for _, p := range all {
		byID[p.ID] = p
	}
	var b bytes.Buffer
	err = templates.ExecuteTemplate(&b, "page", struct {
		Style  template.CSS
		Script template.JS
		Pieces map[string]piece
	}{template.CSS(style), template.JS(script), byID})
	return b.Bytes(), err
}

// pieces are those of a view.
func pieces(v View) ([]piece, error) {
	var d drawing
	d.draw("now", "now", newNow(v))
	d.draw("orders", "orders", newOrders(v.Orders))
	d.services(v)
	d.draw("runs", "runs", newRuns(v.Runs))
	d.draw("bus", "bus", newBus(v))
	d.draw("log", "log", newLog(v.Log))
	return d.pieces, d.err
}

// A drawing collects pieces, and the first error.
type drawing struct {
	pieces []piece
	err    error
}

// draw adds a piece made by a template.
func (d *drawing) draw(id, name string, data any) piece {
	html := d.execute(name, data)
	h := fnv.New64a()
	_, _ = io.WriteString(h, string(html)) // never fails
	p := piece{ID: id, Key: strconv.FormatUint(h.Sum64(), 36), HTML: html}
	d.pieces = append(d.pieces, p)
	return p
}

func (d *drawing) execute(name string, data any) template.HTML {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, data); err != nil && d.err == nil {
		d.err = err
	}
	return template.HTML(b.String())
}

// services adds the frame of all services, and then what is in it.
func (d *drawing) services(v View) {
	const id = "services"
	frame := newFrame(id, v.Services)
	at := len(d.pieces)
	d.draw(id, "services", frame)
	for s, service := range v.Services {
		for i, instance := range service.Instances {
			m := newInstance(instance, v.Elapsed)
			row := &frame[s].Rows[i]
			for n, name := range parts {
				row.Parts[n] = d.draw(row.Parts[n].ID, name, m)
			}
		}
	}
	d.pieces[at].full = d.execute("services", frame)
}
