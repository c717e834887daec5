package page

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"hash/fnv"
	"html/template"
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
func document(v View) []byte {
	byID := make(map[string]piece)
	for _, p := range pieces(v) {
		byID[p.ID] = p
	}
	return execute("page", struct {
		Style  template.CSS
		Script template.JS
		Pieces map[string]piece
	}{template.CSS(style), template.JS(script), byID})
}

// execute prints a model. One that does not fit its template is a bug, and fails
// every test.
func execute(name string, model any) []byte {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, name, model); err != nil {
		panic(err)
	}
	return b.Bytes()
}

// pieces are those of a view.
func pieces(v View) []piece {
	var d drawing
	d.draw("now", "now", newNow(v))
	d.draw("orders", "orders", newOrders(v.Orders))
	d.services(v)
	d.draw("runs", "runs", newRuns(v.Runs))
	d.draw("bus", "bus", newBus(v))
	d.draw("log", "log", newLog(v.Log))
	return d
}

// A drawing collects pieces.
type drawing []piece

// draw adds a piece made by a template.
func (d *drawing) draw(id, name string, model any) piece {
	html := execute(name, model)
	h := fnv.New64a()
	_, _ = h.Write(html) // never fails
	p := piece{ID: id, Key: strconv.FormatUint(h.Sum64(), 36), HTML: template.HTML(html)}
	*d = append(*d, p)
	return p
}

// services adds the frame of all services, and then what is in it.
func (d *drawing) services(v View) {
	const id = "services"
	frame := newFrame(id, v.Services)
	at := len(*d)
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
	(*d)[at].full = template.HTML(execute("services", frame))
}
