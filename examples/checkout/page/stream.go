package page

import (
	"bytes"
	"encoding/json"
	"maps"
	"net/http"
	"strings"
	"time"
)

// stream sends pieces that changed until its client leaves or the page ends. It
// holds one message at most: the next one is made when that has been taken.
func (p *Page) stream(w http.ResponseWriter, r *http.Request) {
	if !p.enter() {
		http.Error(w, "the page is closed", http.StatusServiceUnavailable)
		return
	}
	defer p.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	if r.Method == http.MethodHead {
		return
	}
	out := http.NewResponseController(w)
	send := func(text []byte) bool {
		// Of the deadlines only ours counts: a stream outlives a server's
		// WriteTimeout. Who cannot set one has no slow clients.
		_ = out.SetWriteDeadline(time.Now().Add(patience))
		_, err := w.Write(text)
		return err == nil && out.Flush() == nil
	}
	// A browser that lost the stream tries again after that time.
	if !send([]byte("retry: 1000\n\n")) {
		return
	}
	has := make(memory)
	timer := time.NewTimer(p.every)
	defer timer.Stop()
	for {
		if changed := has.learn(pieces(p.src.View())); len(changed) > 0 && !send(message(changed)) {
			return
		}
		timer.Reset(p.every)
		select {
		case <-timer.C:
		case <-r.Context().Done():
			return
		case <-p.ending:
			return
		}
	}
}

// message is an event with pieces, outer ones first.
func message(changed []piece) []byte {
	var b bytes.Buffer
	b.WriteString("data: ")
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false) // it is no HTML document, and says so
	// Strings alone, in a buffer: there is nothing to fail. JSON has no line
	// breaks, and the encoder ends it with one.
	_ = enc.Encode(changed)
	b.WriteByte('\n')
	return b.Bytes()
}

// A memory is what a client has: the key of each piece, by ID.
type memory map[string]string

// learn returns the pieces that the client has not, and takes them for sent. With
// an outer piece the inner ones are gone.
func (m memory) learn(all []piece) []piece {
	var changed []piece
	for _, p := range all {
		if m[p.ID] == p.Key {
			continue
		}
		maps.DeleteFunc(m, func(id, _ string) bool { return strings.HasPrefix(id, p.ID+"-") })
		m[p.ID] = p.Key
		changed = append(changed, p)
	}
	return changed
}
