package report

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

func pagesOf(objects Objects) []Page {
	var pages []Page
	for _, s := range objects.Subjects() {
		pages = append(pages, NewPage(s, now()))
	}
	return pages
}

// names of the saved reports.
func names() []string { return []string{"healthy", "exhausted", "race-502", "ipvs-900"} }

func TestGolden(t *testing.T) {
	for _, name := range names() {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := WriteText(&text, pagesOf(saved(t, name+".yaml"))); err != nil {
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
	history := []string{"Connect() p99", "Set-up share", "Requests a connection", "New connections", "Ports held"}
	for name, want := range map[string][]string{
		"healthy":   append([]string{ports, silence, connect, request}, history...),
		"exhausted": append([]string{ports, connect, request}, history...),
		"race-502":  append([]string{ports, silence, connect, request}, history...),
		"ipvs-900":  {ports, silence, connect, "Connect() p99", "New connections", "Ports held"},
	} {
		var titles []string
		for _, s := range pagesOf(saved(t, name+".yaml"))[0].Links[0].Sections {
			for _, p := range s.Plots {
				titles = append(titles, p.Title)
			}
		}
		if !slices.Equal(titles, want) {
			t.Errorf("%s: plots %q, want %q", name, titles, want)
		}
	}
}
