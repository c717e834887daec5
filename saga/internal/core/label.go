package core

import (
	"fmt"
	"strings"
)

// MermaidText quotes a text of any content. All but plain characters become entities, so
// that none of it is taken for a part of the language or for HTML.
func MermaidText(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', strings.ContainsRune(" .-_()/,", r):
			b.WriteRune(r)
		default:
			fmt.Fprintf(&b, "#%d;", r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// DOTText quotes a text of any content. In a quoted string of DOT only the quote and the
// backslash mean something.
func DOTText(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
