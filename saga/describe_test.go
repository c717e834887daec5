package saga_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/mainstay-go/mainstay/saga"
)

// everything is a saga with a step of each kind.
func everything() *saga.Saga[state] {
	s := newScript()
	item := saga.MustNew("item", []saga.Step[state]{s.step("reserve")})
	sub := saga.MustNew("parcel", []saga.Step[state]{s.step("pack"), {Name: "check", Do: do, ReadOnly: true}})
	yes := func(*state) bool { return true }
	return saga.MustNew("checkout", []saga.Step[state]{
		s.step("start"),
		saga.ForEach(saga.Step[state]{Name: "items"}, func(*state) []state { return nil }, item, nil),
		group("both", s.step("mail"), s.bare("page")),
		saga.Await(saga.Step[state]{Name: "approve", When: yes, Undo: do}, func(context.Context, *state, string) error { return nil }),
		saga.Sleep(saga.Step[state]{Name: "cool down"}, time.Hour),
		saga.Sub(saga.Step[state]{Name: "ship"}, sub, func(s *state) state { return *s }, nil),
		s.pivot("pay"),
		s.bare(`"<b>"; end`),
	})
}

// Plan is a copy with what a drawing needs.
func TestPlan(t *testing.T) {
	plan := everything().Plan()
	var lines []string
	var walk func(prefix string, plan []saga.StepPlan)
	walk = func(prefix string, plan []saga.StepPlan) {
		for _, s := range plan {
			line := prefix + s.Name + " " + string(s.Kind)
			for what, is := range map[string]bool{" pivot": s.Pivot, " undo": s.Undo, " read": s.ReadOnly, " when": s.When} {
				if is {
					line += what
				}
			}
			lines = append(lines, line)
			walk(prefix+s.Name+"/", s.Children)
		}
	}
	walk("", plan)
	for i, line := range lines {
		lines[i] = strings.Replace(line, " when undo", " undo when", 1)
	}
	assert.Equal(t, []string{
		"start do undo", "items foreach", "items/reserve do undo", "both parallel", "both/mail do undo", "both/page do",
		"approve await undo when", "cool down sleep", "ship sub", "ship/pack do undo", "ship/check do read", "pay do pivot", `"<b>"; end do`,
	}, lines)
	plan[0].Name, plan[1].Children[0].Name = "changed", "changed"
	assert.Equal(t, "start", everything().Plan()[0].Name)
	assert.NotEqual(t, plan, everything().Plan())
}

// A fingerprint changes with what runs that have begun depend on, and with nothing
// else.
func TestFingerprint(t *testing.T) {
	s := newScript()
	def := func(steps ...saga.Step[state]) string { return saga.MustNew("checkout", steps).Fingerprint() }
	base := def(s.step("a"), s.step("b"))
	assert.Len(t, base, 32)
	retried := s.step("b")
	retried.Retry, retried.Timeout, retried.When = patient(9), time.Hour, func(*state) bool { return true }
	assert.Equal(t, base, def(s.step("a"), retried))
	seen := map[string]string{base: "base"}
	for name, other := range map[string]string{
		"order": def(s.step("b"), s.step("a")), "name": def(s.step("a"), s.step("c")), "no Undo": def(s.step("a"), s.bare("b")),
		"pivot": def(s.step("a"), s.pivot("b")), "more": def(s.step("a"), s.step("b"), s.step("c")), "less": def(s.step("a")),
		"group": def(s.step("a"), group("b", s.step("c"))), "sub": def(s.step("a"), inner("b", s.step("c"))),
		"split": def(s.step("a"), group("b", s.step("c"), s.step("d"))), "around": def(s.step("a"), group("b", s.step("c")), s.step("d")),
	} {
		assert.Empty(t, seen[other], "%s and another one", name)
		seen[other] = name
	}
}

// Lint finds what cannot be undone, and what the engine would forget.
func TestLint(t *testing.T) {
	assert.Equal(t, []string{
		`"both/page" has no Undo and is not ReadOnly: if the run goes back, what it did stays`,
	}, everything().Lint())
	assert.Nil(t, saga.MustNew("checkout", []saga.Step[state]{newScript().step("a")}).Lint())

	type inside struct{ lost int }
	type hidden struct {
		Kept  string
		lost  int
		In    []inside
		When  time.Time
		Again *hidden
		Fine  int `json:"-"`
	}
	h := hidden{lost: 1, In: []inside{{lost: 1}}} // so that they are used
	steps := []saga.Step[hidden]{{Name: "a", Do: func(context.Context, *hidden) error { return errors.New(h.Kept) }, ReadOnly: true}}
	assert.Equal(t, []string{
		"S.lost is unexported, so encoding/json loses it: the engine would forget it",
		"S.In.lost is unexported, so encoding/json loses it: the engine would forget it",
	}, saga.MustNew("checkout", steps).Lint())
	assert.Nil(t, saga.MustNewWith(saga.Spec[hidden]{Name: "checkout", Steps: steps, Codec: codec{}}).Lint())
}

type codec struct{}

func (codec) Marshal(any) ([]byte, error)        { return nil, nil }
func (codec) Unmarshal(data []byte, v any) error { return nil }

// Drawings have every step, and nothing of a name is taken for more than a name.
func TestG30_Drawings(t *testing.T) {
	assert.Equal(t, `flowchart TD
  n0["start (undo)"]
  subgraph n1["items (foreach)"]
    n2["reserve (undo)"]
  end
  n0 --> n2
  subgraph n3["both"]
    n4["mail (undo)"]
    n5["page"]
  end
  n2 --> n4
  n2 --> n5
  n6(["approve (await) (undo)"])
  n4 -. when .-> n6
  n5 -. when .-> n6
  n7(["cool down (sleep)"])
  n6 --> n7
  subgraph n8["ship"]
    n9["pack (undo)"]
    n10["check"]
    n9 --> n10
  end
  n7 --> n9
  n11{{"pay (pivot)"}}
  n10 --> n11
  n12["#34;#60;b#62;#34;#59; end"]
  n11 --> n12
`, everything().Mermaid())
	dot := everything().DOT()
	assert.True(t, strings.HasPrefix(dot, "digraph \"checkout\" {\n  n0 [shape=box, label=\"start (undo)\"];\n"))
	assert.Contains(t, dot, "  subgraph cluster_n1 { label=\"items (foreach)\";\n")
	assert.Contains(t, dot, "  n12 [shape=box, label=\"\\\"<b>\\\"; end\"];\n")
	assert.Contains(t, dot, "  n4 -> n6 [style=dashed, label=\"when\"];\n")
	assert.True(t, strings.HasSuffix(dot, "\n}\n"))
	for _, line := range strings.Split(dot, "\n") {
		assert.Equal(t, 0, (strings.Count(line, `"`)-strings.Count(line, `\"`))%2, line)
	}
}
