package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/manifest"
)

// update rewrites the golden files: go test ./internal/report -update.
var update = flag.Bool("update", false, "rewrite the golden files")

// now is five minutes after the reports in testdata were seen.
func now() time.Time { return time.Date(2026, 11, 26, 9, 46, 12, 0, time.UTC) }

// saved reads the objects of a file of testdata.
func saved(t testing.TB, name string) Objects {
	t.Helper()
	file, err := os.Open(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	documents, faults := manifest.Read(name, file)
	if len(faults) > 0 {
		t.Fatal(faults)
	}
	var objects Objects
	if taken, err := objects.Add(documents); err != nil || taken != len(documents) {
		t.Fatalf("%d of %d objects, %v", taken, len(documents), err)
	}
	return objects
}

// rules are some of those that the saved reports name, of words that do not change with the product's.
func rules() []audit.Rule {
	return []audit.Rule{
		{ID: "CP204", Title: "The client throws away connections that the server would keep", Why: "Each costs a handshake, and a local port for a minute of TIME_WAIT.",
			Cures: []string{"Another cure than that of the report."}},
		{ID: "CP401", Title: "Local ports towards one destination are running short",
			Why: "Every connection to one address and port holds a local port, and so does TIME_WAIT for a minute after this end has closed it."},
	}
}

func pagesOf(objects Objects, rules []audit.Rule) []Page {
	var pages []Page
	for _, s := range objects.Subjects() {
		pages = append(pages, NewPage(s, rules, now()))
	}
	return pages
}

// names of the saved reports. What each is about stands at its beginning.
func names() []string {
	return []string{"healthy", "exhausted", "race-502", "ipvs-900", "more/bounded", "more/differs", "more/failed", "more/unseen"}
}

func TestGolden(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := WriteText(&text, pagesOf(saved(t, name+".yaml"), rules()), 0); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".txt")
			if *update {
				if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", &text, want)
			}
			for i, line := range strings.Split(text.String(), "\n") {
				if strings.TrimRight(line, " ") != line {
					t.Errorf("line %d ends with blanks", i+1)
				}
			}
		})
	}
}

// What each saved report has the figures for is drawn.
func TestPlots(t *testing.T) {
	const connect, request, ports, silence = "Setting connections up: time of connect()", "Reuse of connections: time of a whole request",
		"Local ports in use against the ceiling", "What happens to a silent connection"
	history := []string{"Connect() p99", "Set-up share", "New connections", "Ports held"} // what was always the same is told in a sentence
	for name, want := range map[string][]string{
		"healthy":   append([]string{ports, silence, connect, request}, history...),
		"exhausted": append([]string{ports, connect, request}, history...),
		"race-502":  {ports, silence, connect, request, "Connect() p99", "New connections"},
		"ipvs-900":  {ports, silence, connect, "Connect() p99"},
	} {
		var titles []string
		for _, s := range pagesOf(saved(t, name+".yaml"), rules())[0].Links[0].Sections {
			for _, p := range s.Plots {
				titles = append(titles, p.Title)
			}
		}
		if !slices.Equal(titles, want) {
			t.Errorf("%s: plots %q, want %q", name, titles, want)
		}
	}
}

// Where a report had no room for words, as of rules that are met, its title says what is not the case.
func TestBareVerdicts(t *testing.T) {
	objects := saved(t, "exhausted.yaml")
	objects.Policies[0].Spec.Audit = &v1alpha1.AuditSpec{Rules: []v1alpha1.AuditRule{{Name: "fast", Expression: "handshake.connectMicroseconds.p50 < 1000.0"},
		{Name: "slow", Expression: "handshake.connectMicroseconds.p50 > 9.0"}}}
	r := &objects.Reports[0]
	r.Status.Passed = []string{"CP204", "CP999", "user/fast"}
	r.Status.Verdicts = []v1alpha1.Verdict{
		{Rule: "CP401", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityError}, {Rule: "CP205", Result: v1alpha1.VerdictUnknown, Title: "A title"},
	}
	r.Status.Verdicts = append(r.Status.Verdicts, v1alpha1.Verdict{Rule: "user/slow", Result: v1alpha1.VerdictFail, Severity: v1alpha1.SeverityInfo, Message: "too fast"})
	l := pagesOf(objects, rules())[0].Links[0]
	want := []Remark{{[]string{"CP204"}, "Not the case: The client throws away connections that the server would keep"}, {[]string{"CP999"}, ""},
		{[]string{"user/fast"}, "Met: handshake.connectMicroseconds.p50 < 1000.0"}}
	if !reflect.DeepEqual(l.Passed, want) {
		t.Errorf("passes %q", l.Passed)
	}
	if want := []Remark{{[]string{"CP205"}, "Not known: A title"}}; !reflect.DeepEqual(l.Unknown, want) {
		t.Errorf("unknown %q", l.Unknown)
	}
	if f := l.Findings[1]; f.Why != "The policy demands handshake.connectMicroseconds.p50 > 9.0." {
		t.Errorf("finding %+v", f)
	}
	if f := l.Findings[0]; f.Title != "Local ports towards one destination are running short" || f.Message == "" || f.Why == "" || f.Cures != nil {
		t.Errorf("finding %+v", f)
	}
}

// A link that nothing was seen of is told of, with what stands in its way.
func TestUnseenLink(t *testing.T) {
	objects := saved(t, "exhausted.yaml")
	policy := &objects.Policies[0]
	policy.Spec.To = append(policy.Spec.To, v1alpha1.Link{Name: "bank"}, v1alpha1.Link{Name: "fresh"})
	policy.Status.Links = []v1alpha1.LinkStatus{{Name: "server", Message: "probes wait for a place"}, {Name: "bank", Message: "Service shop/bank does not exist"}}
	var text bytes.Buffer
	if err := WriteText(&text, pagesOf(objects, rules()), 0); err != nil {
		t.Fatal(err)
	}
	said := strings.Join(strings.Fields(text.String()), " ")
	for _, want := range []string{"1 error, 2 warnings on 3 links", "1 endpoint is ready. ! Probes wait for a place.",
		"Link bank --------- Nothing was seen yet. ! Service shop/bank does not exist.", "Link fresh ---------- Nothing was seen yet."} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, &text)
		}
	}
}
