package report

import (
	"reflect"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/spread"
)

// Each figure that nodes are compared by has a name for people.
func TestEveryFigureThatDiffersHasAName(t *testing.T) {
	objects := everything(t)
	views, troubles := viewsOf(&objects.Reports[0])
	figures := spread.Of(places(views))
	if len(troubles) > 0 || len(figures) < 10 {
		t.Fatalf("%q, %d figures", troubles, len(figures))
	}
	for _, f := range figures {
		if spreadName(f.Name) == f.Name {
			t.Errorf("%s has no name", f.Name)
		}
		if value := spreadValue(f.Name, f.Least()); value == "" {
			t.Errorf("%s has no value", f.Name)
		}
	}
}

// A node that differs is named before anything is told, and with what it differs in; nodes that do not are not.
func TestTheNodeThatDiffersIsNamed(t *testing.T) {
	l := pagesOf(saved(t, "more/differs.yaml"), rules())[0].Links[0]
	if last := l.Intro[len(l.Intro)-1]; last != "node-2 and node-3 differ from the other nodes." {
		t.Errorf("%q", last)
	}
	want := [][]string{{"resolve, median", "982 µs", "3.32 ms", "node-2"}, {"connect(), median", "39 µs", "2.34 ms", "node-3"}}
	if s := l.Sections[0]; s.Title != "Where the nodes differ" || !reflect.DeepEqual(s.Table.Rows, want) ||
		!reflect.DeepEqual(s.Notes, []string{"Kernels: 6.12.57, 6.18.44-fc-v669."}) {
		t.Errorf("%+v", s)
	}
	healthy := pagesOf(saved(t, "healthy.yaml"), rules())[0].Links[0]
	if s := healthy.Sections[0]; s.Title == "Where the nodes differ" {
		t.Errorf("%+v", s)
	}
}

// What a report had to cut of a cure, or leave out of a second vantage, people read whole.
func TestACutReportReadsWhole(t *testing.T) {
	objects := saved(t, "more/bounded.yaml")
	if status := objects.Reports[0].Status; status.Vantages[1].Like == "" || len(status.Passed) == 0 || len(status.Unknown) == 0 || len(status.NotApplicable) == 0 {
		t.Fatal("the report is not cut")
	}
	// Rules as they were when the report was written.
	var then []audit.Rule
	cut := 0
	for _, v := range objects.Reports[0].Status.Judgements() {
		rule := audit.Rule{ID: v.Rule, Title: "Title of " + v.Rule, Cures: []string{v.Cure}}
		if begin, is := strings.CutSuffix(v.Cure, "…"); is {
			rule.Cures = []string{"Another.", begin + " and the rest."}
			cut++
		}
		then = append(then, rule)
	}
	if cut == 0 {
		t.Fatal("no cure is cut")
	}
	p := pagesOf(objects, then)[0]
	if len(p.Links[0].Troubles) > 0 {
		t.Errorf("%q", p.Links[0].Troubles)
	}
	for _, f := range p.Links[0].Findings {
		for _, cure := range f.Cures {
			if strings.HasSuffix(cure, "…") {
				t.Errorf("%s: the cure is cut: %q", f.Rule, cure)
			}
		}
		if len(f.Cures) > 1 && !strings.HasSuffix(f.Cures[0], " and the rest.") {
			t.Errorf("%s: the best cure is not the first: %q", f.Rule, f.Cures)
		}
	}
	for _, r := range append(p.Links[0].Passed, p.Links[0].Unknown...) {
		if r.Message == "" {
			t.Errorf("%q say nothing", r.By)
		}
	}
	for _, s := range p.Links[0].Sections {
		if s.Table != nil && s.Title == "Setting connections up" && len(s.Table.Head) != 3 {
			t.Errorf("of two nodes %q are left", s.Table.Head)
		}
	}
}
