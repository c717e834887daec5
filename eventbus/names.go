package eventbus

import (
	"reflect"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxName is the length of the longest name of a topic, in bytes.
const maxName = 1024

// checkName tells what keeps name from being the name of a topic (G30).
func checkName(name string) error {
	if want := wanted(name, false); want != "" {
		return problem("Name", name, want)
	}
	return nil
}

// wanted is what s lacks to be a name or, with wildcards, a pattern; "" if it
// is one.
func wanted(s string, wildcards bool) string {
	switch {
	case s == "" || len(s) > maxName:
		return "1 to " + strconv.Itoa(maxName) + " bytes"
	case !utf8.ValidString(s):
		return "valid UTF-8"
	case strings.ContainsFunc(s, blank):
		return "no white space or control characters"
	}
	for rest, more := s, true; more; {
		var token string
		token, rest, more = strings.Cut(rest, ".")
		switch {
		case token == "":
			return "no empty token"
		case !wildcards && (token == "*" || token == ">"):
			return "no token * or >, which are for patterns"
		case token == ">" && more:
			return "> as its last token only"
		}
	}
	return ""
}

func blank(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }

// A pattern stands for all names that have its tokens, where * is any one and
// > any one or more. It is immutable. A name is the pattern of itself.
type pattern struct{ text string }

func parsePattern(s string) (pattern, error) {
	if want := wanted(s, true); want != "" {
		return pattern{}, problem("Pattern", s, want)
	}
	return pattern{s}, nil
}

func (p pattern) String() string { return p.text }

// matches reports whether p stands for name, which must be valid. That is asked
// when a topic or a pattern is new, not when an event is published: walking both
// texts will do, without lists of tokens.
func (p pattern) matches(name string) bool {
	wants, tokens := p.text, name
	for {
		want, wantsLeft, wantsMore := strings.Cut(wants, ".")
		token, tokensLeft, tokensMore := strings.Cut(tokens, ".")
		switch {
		case want == ">":
			return true
		case want != "*" && want != token:
			return false
		case !wantsMore || !tokensMore:
			return wantsMore == tokensMore
		}
		wants, tokens = wantsLeft, tokensLeft
	}
}

// typeName is the name of type t (G38), fit for a topic. Different types have
// different names, with these exceptions: package reflect does not tell types
// of one package apart that are called the same in different functions, and
// names beyond maxName are cut. ErrTopicType is what comes of them (G31).
func typeName(t reflect.Type) string { return legalName(fullName(t)) }

// legalName replaces what no name of a topic may have, and what reads like a
// wildcard, so that a pointer to T is a _ and the name of T.
func legalName(s string) string {
	var b strings.Builder
	last := '.' // so that a dot at the beginning leaves an empty token, too
	for _, r := range s {
		if r == utf8.RuneError || blank(r) || r == '*' || r == '>' || r == '.' && last == '.' {
			r = '_'
		}
		if b.Len()+utf8.RuneLen(r) > maxName {
			break
		}
		b.WriteRune(r)
		last = r
	}
	if last == '.' {
		return strings.TrimSuffix(b.String(), ".") + "_"
	}
	return b.String()
}

// fullName is t as Go would write it, if import paths stood where the names of
// packages do. The String of a type does not tell text/template.Template from
// html/template.Template. The types that t consists of come to an end, because
// only types that have names can refer to themselves.
func fullName(t reflect.Type) string {
	if name := t.Name(); name != "" {
		// Type arguments come with their import paths, as the linker writes
		// them: dots in the last element are escaped.
		return qualified(t.PkgPath(), strings.ReplaceAll(name, "%2e", "."))
	}
	switch t.Kind() {
	case reflect.Pointer:
		return "*" + fullName(t.Elem())
	case reflect.Slice:
		return "[]" + fullName(t.Elem())
	case reflect.Array:
		return "[" + strconv.Itoa(t.Len()) + "]" + fullName(t.Elem())
	case reflect.Map:
		return "map[" + fullName(t.Key()) + "]" + fullName(t.Elem())
	case reflect.Chan:
		return t.ChanDir().String() + "(" + fullName(t.Elem()) + ")"
	case reflect.Func:
		return "func" + fullSignature(t)
	case reflect.Struct:
		return "struct{" + joined(t.NumField(), ";", func(i int) string { return fullField(t.Field(i)) }) + "}"
	default: // an interface: all other kinds of types have names
		if t.NumMethod() == 0 {
			return "any"
		}
		return "interface{" + joined(t.NumMethod(), ";", func(i int) string {
			m := t.Method(i)
			return qualified(m.PkgPath, m.Name) + fullSignature(m.Type)
		}) + "}"
	}
}

// qualified is for the names of types, and for fields and methods: those that
// are not exported differ from package to package.
func qualified(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func fullField(f reflect.StructField) string {
	s := fullName(f.Type)
	if !f.Anonymous {
		s = qualified(f.PkgPath, f.Name) + ":" + s
	}
	if f.Tag != "" {
		s += strconv.Quote(string(f.Tag))
	}
	return s
}

func fullSignature(t reflect.Type) string {
	s := "(" + joined(t.NumIn(), ",", func(i int) string {
		if t.IsVariadic() && i == t.NumIn()-1 {
			return "..." + fullName(t.In(i).Elem())
		}
		return fullName(t.In(i))
	}) + ")"
	if t.NumOut() == 0 {
		return s
	}
	return s + "(" + joined(t.NumOut(), ",", func(i int) string { return fullName(t.Out(i)) }) + ")"
}

func joined(n int, sep string, item func(int) string) string {
	items := make([]string, n)
	for i := range items {
		items[i] = item(i)
	}
	return strings.Join(items, sep)
}

// eventType is the CloudEvents type that t, or a pointer to t, declares by a
// method EventType. It is asked on a usable value: the zero one or, if t is a
// pointer, one that points to a zero one (G38). ok is false without a method, as
// for all types of interfaces, or if it has nothing to say; err is its panic.
func eventType(t reflect.Type) (name string, ok bool, err error) {
	type declarer interface{ EventType() string }
	// A pointer has the methods of what it points to, unless that is another
	// pointer or an interface: then it has none.
	pointer := t
	if t.Kind() != reflect.Pointer {
		pointer = reflect.PointerTo(t)
	}
	if !pointer.Implements(reflect.TypeFor[declarer]()) {
		return "", false, nil
	}
	asked := reflect.New(pointer.Elem()).Interface().(declarer)
	err = safely(func() { name = asked.EventType() })
	return name, name != "", err
}
