package eventbus

import (
	"bytes"
	"encoding/json"
	"errors"
	htmltemplate "html/template"
	"io"
	"reflect"
	"strings"
	"testing"
	"text/template"
	"time"
	"unicode"
	"unicode/utf8"
	"unsafe"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// S36: the names that G30 allows.
func TestCheckName_legal(t *testing.T) {
	for _, name := range []string{
		"a", "a.b", "orders.created.v2", "A.B", "0.1", "-", "_", "a-b_c",
		"a*", "*a", "a*b", "**", "a>", ">a", ">>", "a.b>.c", "a.**.b", "*>", // wildcards are whole tokens
		"github.com/acme/shop.Order", "[]int", "/", "CON", "a,b;c:d", "%", "<script>", `"`, `\n`, "$SYS", "#", "+",
		"\u00e9t\u00e9.\u65e5\u672c\u8a9e", "\U0001f600", "\u200b", "\ufeff", "\ufffd", // not white space, to Unicode
		strings.Repeat("a", maxName), strings.Repeat("a.", maxName/2-1) + "ab", strings.Repeat("\u00e9", maxName/2),
	} {
		assert.NoError(t, checkName(name), "%q", name)
		p, err := parsePattern(name)
		require.NoError(t, err, "a name is a pattern: %q", name)
		assert.True(t, p.matches(name), "%q", name)
		assert.False(t, p.matches(name+"x"), "%q", name)
		assert.Equal(t, name, p.String())
	}
}

const (
	wantBytes   = "1 to 1024 bytes"
	wantUTF8    = "valid UTF-8"
	wantVisible = "no white space or control characters"
	wantTokens  = "no empty token"
)

var illegal = []struct{ name, want string }{
	{"", wantBytes},
	{strings.Repeat("a", maxName+1), wantBytes},
	{strings.Repeat("a", 1<<20), wantBytes},
	{strings.Repeat("\x00", 1<<20), wantBytes},
	{"\xff", wantUTF8},
	{"a.\xc3", wantUTF8},           // half a rune
	{"\xc0\xaf", wantUTF8},         // overlong
	{"a\xed\xa0\x80b", wantUTF8},   // a surrogate
	{"\xf4\x90\x80\x80", wantUTF8}, // beyond Unicode
	{"a\x00b", wantVisible},
	{"\x00", wantVisible},
	{"a\nb", wantVisible},
	{"a\tb", wantVisible},
	{"a b", wantVisible},
	{"a\x1bb", wantVisible},
	{"a\x7fb", wantVisible},
	{"a\u0085b", wantVisible}, // next line
	{"a\u009bb", wantVisible}, // control sequence introducer
	{"a\u00a0b", wantVisible}, // non-breaking space
	{"a\u2028b", wantVisible}, // line separator
	{"a\u3000b", wantVisible}, // ideographic space
	{"..", wantTokens},
	{".a", wantTokens},
	{"a.", wantTokens},
	{"a..b", wantTokens},
	{"../x", wantTokens},
}

// Whatever the name, the message tells it, is short and can be printed.
func TestCheckName_illegal(t *testing.T) {
	require.EqualError(t, checkName("a..b"), `Name is "a..b", want no empty token`)
	require.EqualError(t, checkName("a\nb"), `Name is "a\nb", want no white space or control characters`)
	for _, c := range illegal {
		err := checkName(c.name)
		require.Error(t, err, "%.80q", c.name)
		assert.Equal(t, "Name is "+quoted(c.name)+", want "+c.want, err.Error())
		assert.Less(t, len(err.Error()), 1024)
		assert.True(t, utf8.ValidString(err.Error()))
		assert.False(t, strings.ContainsFunc(err.Error(), unicode.IsControl), "%q", err)
		p, err := parsePattern(c.name)
		require.Error(t, err, "%.80q", c.name)
		assert.Equal(t, "Pattern is "+quoted(c.name)+", want "+c.want, err.Error())
		assert.Zero(t, p)
	}
	for _, name := range []string{"*", ">", "a.*", "*.a", "a.*.b", "a.>", "a.>.b", ">.a", "*.*"} {
		require.EqualError(t, checkName(name), "Name is "+quoted(name)+", want no token * or >, which are for patterns")
	}
}

// S36: the token rules of NATS subjects.
func TestPattern_matches(t *testing.T) {
	long := strings.Repeat("a.", maxName/2-1) + "ab"
	for _, c := range []struct {
		pattern  string
		matches  []string
		mismatch []string
	}{
		{"a", []string{"a"}, []string{"b", "A", "aa", "a.a", "a.b", "b.a"}},
		{"a.b", []string{"a.b"}, []string{"a", "b", "a.b.c", "a.c", "c.b", "a.bb", "ab"}},
		{"*", []string{"a", "abc", "a*", "**", ">>"}, []string{"a.b", "a.b.c"}},
		{"*.*", []string{"a.b", "b.a"}, []string{"a", "a.b.c"}},
		{"a.*", []string{"a.b", "a.a", "a.a>"}, []string{"a", "b.a", "a.b.c", "aa.b"}},
		{"*.a", []string{"a.a", "b.a"}, []string{"a", "a.b", "b.a.a", "b.aa"}},
		{"a.*.c", []string{"a.b.c", "a.c.c"}, []string{"a.c", "a.b.b.c", "a.b.d", "b.b.c", "a.b.c.d"}},
		{"a.*.*.d", []string{"a.b.c.d"}, []string{"a.b.d", "a.b.c.c", "a.b.c.c.d"}},
		{">", []string{"a", "a.b", "a.b.c", "a>", long}, nil},
		{"a.>", []string{"a.b", "a.b.c", "a.a", "a.>b"}, []string{"a", "b", "aa", "aa.b", "b.a", "b.a.c"}},
		{"a.b.>", []string{"a.b.c", "a.b.c.d"}, []string{"a", "a.b", "a.c.b", "a.bb.c"}},
		{"*.>", []string{"a.b", "a.b.c"}, []string{"a"}},
		{"*.*.>", []string{"a.b.c", "a.b.c.d"}, []string{"a", "a.b"}},
		{"a.*.>", []string{"a.b.c", "a.b.c.d"}, []string{"a.b", "a", "b.b.c"}},
		{"*.b.>", []string{"a.b.c"}, []string{"a.b", "a.c.c", "b"}},
		// Wildcards are whole tokens; elsewhere * and > are letters.
		{"a*", []string{"a*"}, []string{"a", "ab", "a.b"}},
		{"a.b*.*", []string{"a.b*.c"}, []string{"a.bb.c", "a.b.c"}},
		{"a>.*", []string{"a>.b"}, []string{"a.b", "ab.b"}},
		{"**.>", []string{"**.a"}, []string{"a.a", "a.b.a"}},
		{">a.>", []string{">a.b"}, []string{"a.b"}},
		{"github.com/acme/shop.*", []string{"github.com/acme/shop.Order"}, []string{"github.com/acme/shop/v2.Order"}},
		{"\u65e5.*", []string{"\u65e5.\u672c"}, []string{"\u65e5", "\u672c.\u65e5"}},
		{strings.Repeat("*.", maxName/2-1) + ">", []string{long}, []string{"a", long[2:]}},
	} {
		p, err := parsePattern(c.pattern)
		require.NoError(t, err, "%.80q", c.pattern)
		assert.Equal(t, c.pattern, p.String())
		for _, name := range c.matches {
			require.NoError(t, checkName(name))
			assert.True(t, p.matches(name), "%.80q is for %.80q", c.pattern, name)
		}
		for _, name := range c.mismatch {
			require.NoError(t, checkName(name))
			assert.False(t, p.matches(name), "%.80q is not for %.80q", c.pattern, name)
		}
	}
}

func TestParsePattern_illegal(t *testing.T) {
	for _, s := range []string{">.a", "a.>.b", ">.>", "a.>.>", ">.*", "*.>.*"} {
		p, err := parsePattern(s)
		require.EqualError(t, err, "Pattern is "+quoted(s)+", want > as its last token only")
		assert.Zero(t, p)
	}
	for _, s := range []string{"*.", ".*", "*..*", ".>", "a..>"} {
		_, err := parsePattern(s)
		require.EqualError(t, err, "Pattern is "+quoted(s)+", want no empty token")
	}
	_, err := parsePattern("a.> ")
	require.EqualError(t, err, `Pattern is "a.> ", want no white space or control characters`)
	_, err = parsePattern(strings.Repeat("*.", maxName/2) + "*")
	require.ErrorContains(t, err, wantBytes)
}

func TestPattern_allocs(t *testing.T) {
	for _, s := range []string{"a.b.c", "a.*.c", "*.*.*", "a.>", ">", "a.*.d"} {
		p, err := parsePattern(s)
		require.NoError(t, err)
		assert.Zero(t, testing.AllocsPerRun(100, func() { p.matches("a.b.c") }), "%q", s)
	}
	assert.Zero(t, testing.AllocsPerRun(100, func() { _ = checkName("github.com/acme/shop.Order") }))
}

type (
	parcel           struct{ ID int }
	weight           float64
	courier          func(parcel) error
	recursive        struct{ Next *recursive }
	cyclic           []cyclic
	crate[T any]     struct{ V T }
	couple[A, B any] struct {
		A A
		B B
	}

	tagged = struct {
		A int `note:"a, >x"`
	}
	half = interface {
		M(int)
		m()
	}
)

const here = "github.com/mainstay-go/mainstay/eventbus."

// G38: the name is import path, dot, type name.
func TestTypeName(t *testing.T) {
	type local struct{}
	names := map[string]string{}
	for _, c := range []struct {
		typ  reflect.Type
		want string // "" = only legal and unique
	}{
		{reflect.TypeFor[int](), "int"},
		{reflect.TypeFor[byte](), "uint8"},
		{reflect.TypeFor[string](), "string"},
		{reflect.TypeFor[error](), "error"},
		{reflect.TypeFor[any](), "any"},
		{reflect.TypeFor[unsafe.Pointer](), "unsafe.Pointer"},
		{reflect.TypeFor[time.Time](), "time.Time"},
		{reflect.TypeFor[json.RawMessage](), "encoding/json.RawMessage"},
		{reflect.TypeFor[parcel](), here + "parcel"},
		{reflect.TypeFor[*parcel](), "_" + here + "parcel"},
		{reflect.TypeFor[**parcel](), "__" + here + "parcel"},
		{reflect.TypeFor[weight](), here + "weight"},
		{reflect.TypeFor[courier](), here + "courier"},
		{reflect.TypeFor[recursive](), here + "recursive"},
		{reflect.TypeFor[[]cyclic](), "[]" + here + "cyclic"},
		{reflect.TypeFor[local](), here + "local"},
		{reflect.TypeFor[template.Template](), "text/template.Template"},
		{reflect.TypeFor[htmltemplate.Template](), "html/template.Template"},
		{reflect.TypeFor[[]byte](), "[]uint8"},
		{reflect.TypeFor[[4]byte](), "[4]uint8"},
		{reflect.TypeFor[[][]*parcel](), "[][]_" + here + "parcel"},
		{reflect.TypeFor[map[string]*parcel](), "map[string]_" + here + "parcel"},
		{reflect.TypeFor[map[parcel]string](), "map[" + here + "parcel]string"},
		{reflect.TypeFor[map[string]any](), "map[string]any"},
		{reflect.TypeFor[[]*template.Template](), "[]_text/template.Template"},
		{reflect.TypeFor[[]*htmltemplate.Template](), "[]_html/template.Template"},
		{reflect.TypeFor[chan int](), "chan(int)"},
		{reflect.TypeFor[<-chan int](), "<-chan(int)"},
		{reflect.TypeFor[chan<- int](), "chan<-(int)"},
		{reflect.TypeFor[chan<- chan int](), "chan<-(chan(int))"},
		{reflect.TypeFor[chan (<-chan int)](), "chan(<-chan(int))"},
		{reflect.TypeFor[func()](), "func()"},
		{reflect.TypeFor[func(*parcel, int)](), "func(_" + here + "parcel,int)"},
		{reflect.TypeFor[func(int, []string) (parcel, error)](), "func(int,[]string)(" + here + "parcel,error)"},
		{reflect.TypeFor[func(int, ...string) error](), "func(int,._.string)(error)"},
		{reflect.TypeFor[func() func()](), "func()(func())"},
		{reflect.TypeFor[struct{}](), "struct{}"},
		{reflect.TypeFor[struct{ A int }](), "struct{A:int}"},
		{reflect.TypeFor[struct{ A, B int }](), "struct{A:int;B:int}"},
		{reflect.TypeFor[struct{ A *int }](), "struct{A:_int}"},
		{reflect.TypeFor[struct{ A_ int }](), "struct{A_:int}"},
		{reflect.TypeFor[struct{ a int }](), "struct{" + here + "a:int}"},
		{reflect.TypeFor[struct{ parcel }](), "struct{" + here + "parcel}"},
		{reflect.TypeFor[struct{ Order parcel }](), "struct{Order:" + here + "parcel}"},
		{reflect.TypeFor[tagged](), `struct{A:int"note:\"a,__x\""}`},
		{reflect.TypeFor[interface{ io.Closer }](), "interface{Close()(error)}"},
		{reflect.TypeFor[half](), "interface{M(int);" + here + "m()}"},
		{reflect.TypeFor[crate[int]](), here + "crate[int]"},
		{reflect.TypeFor[*crate[int]](), "_" + here + "crate[int]"},
		{reflect.TypeFor[crate[*parcel]](), here + "crate[_" + here + "parcel]"},
		{reflect.TypeFor[crate[crate[parcel]]](), here + "crate[" + here + "crate[" + here + "parcel]]"},
		{reflect.TypeFor[crate[template.Template]](), here + "crate[text/template.Template]"},
		{reflect.TypeFor[crate[htmltemplate.Template]](), here + "crate[html/template.Template]"},
		{reflect.TypeFor[couple[parcel, string]](), here + "couple[" + here + "parcel,string]"},
		{reflect.TypeFor[couple[string, parcel]](), here + "couple[string," + here + "parcel]"},
		{reflect.TypeFor[[]couple[template.Template, map[int]htmltemplate.Template]](), ""},
		{reflect.TypeFor[crate[any]](), ""},
		{reflect.TypeFor[crate[local]](), ""},
		{reflect.TypeFor[crate[func(...parcel) <-chan int]](), ""},
		{reflect.TypeFor[crate[struct{ A *template.Template }]](), ""},
		{reflect.TypeFor[crate[struct{ A *htmltemplate.Template }]](), ""},
	} {
		name := typeName(c.typ)
		if c.want != "" {
			assert.Equal(t, c.want, name)
		}
		require.NoError(t, checkName(name), "%v", c.typ)
		assert.Empty(t, names[name], "%v is called the same", c.typ)
		names[name] = c.typ.String()
	}
}

// A type in a world of its own, as package reflect tells of it.
type described struct {
	reflect.Type
	path, name string
}

func (d described) PkgPath() string { return d.path }
func (d described) Name() string    { return d.name }

func TestTypeName_odd(t *testing.T) {
	of := func(path, name string) string {
		return typeName(described{reflect.TypeFor[parcel](), path, name})
	}
	// The linker escapes dots in the last element of an import path.
	assert.Equal(t, "yaml.v3.Box[gopkg.in/yaml.v3.Node]", of("yaml.v3", "Box[gopkg.in/yaml%2ev3.Node]"))
	assert.Equal(t, "_./x.T", of("../x", "T"))
	assert.Equal(t, "_a.T", of(".a", "T"))
	assert.Equal(t, "a._T", of("a.", "T"))
	assert.Equal(t, "a.T_", of("a", "T."))
	assert.Equal(t, "a.T[a_b_c]", of("a", "T[a b\u00a0c]"))
	assert.Equal(t, "a.T_", of("a", "T\xff"))
	assert.Equal(t, "a._._", of("a", "*.>"))

	long := strings.Repeat("a", maxName)
	assert.Equal(t, "p."+long[2:], of("p", long))
	assert.Equal(t, long[1:]+"_", of(long[1:], "T"), "no dot at the end, where it was cut")
	assert.Equal(t, long[:maxName-2]+".T", of(long[2:], "T"))
	assert.Equal(t, long[:maxName-1], of(long[1:]+"\u00e9", "T"), "no half of a rune, and nothing after it")
	assert.Equal(t, "_", legalName(""))
}

func TestTypeName_long(t *testing.T) {
	typ := reflect.TypeFor[parcel]()
	for range 2000 {
		typ = reflect.PointerTo(typ)
	}
	assert.Equal(t, strings.Repeat("_", maxName), typeName(typ))
	many := make([]reflect.StructField, 100)
	for i := range many {
		many[i] = reflect.StructField{Name: "F" + strings.Repeat("x", i), Type: reflect.TypeFor[time.Time]()}
	}
	name := typeName(reflect.StructOf(many))
	require.NoError(t, checkName(name))
	assert.Len(t, name, maxName)
}

type (
	byValue     struct{}
	byPointer   struct{ n int }
	promoted    struct{ byValue }
	lent        struct{ *byPointer }
	namedFunc   func()
	namedPtr    *byPointer
	silent      struct{}
	panicky     struct{}
	panickyPtr  struct{}
	declares    interface{ EventType() string }
	misdeclares struct{}
)

func (v byValue) EventType() string       { return "value" }
func (p *byPointer) EventType() string    { p.n++; return "pointer " + string(rune('0'+p.n)) }
func (f namedFunc) EventType() string     { return "func" }
func (silent) EventType() string          { return "" }
func (panicky) EventType() string         { panic(io.ErrUnexpectedEOF) }
func (*panickyPtr) EventType() string     { panic("pointer") }
func (misdeclares) EventType(bool) string { return "misdeclared" }

func TestEventType(t *testing.T) {
	for _, c := range []struct {
		typ  reflect.Type
		want string // "" = not ok
	}{
		{reflect.TypeFor[byValue](), "value"},
		{reflect.TypeFor[*byValue](), "value"},      // not of a nil pointer, which would panic
		{reflect.TypeFor[byPointer](), "pointer 1"}, // asked once, a value that was not used before
		{reflect.TypeFor[*byPointer](), "pointer 1"},
		{reflect.TypeFor[promoted](), "value"},
		{reflect.TypeFor[*promoted](), "value"},
		{reflect.TypeFor[struct{ byValue }](), "value"},
		{reflect.TypeFor[namedFunc](), "func"},
		{reflect.TypeFor[namedPtr](), ""}, // has no methods
		{reflect.TypeFor[**byPointer](), ""},
		{reflect.TypeFor[[]byValue](), ""},
		{reflect.TypeFor[silent](), ""},
		{reflect.TypeFor[*silent](), ""},
		{reflect.TypeFor[misdeclares](), ""},
		{reflect.TypeFor[parcel](), ""},
		{reflect.TypeFor[*parcel](), ""},
		{reflect.TypeFor[int](), ""},
		{reflect.TypeFor[any](), ""},
		{reflect.TypeFor[declares](), ""}, // no value to ask
		{reflect.TypeFor[*declares](), ""},
	} {
		name, ok, err := eventType(c.typ)
		require.NoError(t, err, "%v", c.typ)
		assert.Equal(t, c.want, name, "%v", c.typ)
		assert.Equal(t, c.want != "", ok, "%v", c.typ)
	}
}

func TestEventType_panic(t *testing.T) {
	for _, c := range []struct {
		typ   reflect.Type
		value any
	}{
		{reflect.TypeFor[panicky](), io.ErrUnexpectedEOF},
		{reflect.TypeFor[*panicky](), io.ErrUnexpectedEOF},
		{reflect.TypeFor[panickyPtr](), "pointer"},
		{reflect.TypeFor[*panickyPtr](), "pointer"},
		{reflect.TypeFor[lent](), nil}, // the method of a nil pointer inside
		{reflect.TypeFor[struct{ declares }](), nil},
	} {
		name, ok, err := eventType(c.typ)
		assert.Empty(t, name)
		assert.False(t, ok)
		var p *PanicError
		require.True(t, errors.As(err, &p), "%v: %v", c.typ, err)
		if c.value != nil {
			assert.Equal(t, c.value, p.Value)
		}
		assert.True(t, bytes.Contains(p.Stack, []byte("EventType")), "the stack of the panic")
		assert.False(t, p.Goexit)
	}
}
