package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"math"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// document is the frame of the page: its style sheet and the shapes of its plots are in it, so that it needs nothing else.
//
//go:embed document.html.tmpl
var document string

// WriteHTML writes pages as one document of HTML that needs no network, no script and no other file.
func WriteHTML(w io.Writer, pages []Page, now time.Time) error {
	t, err := template.New("document").Funcs(template.FuncMap{
		"badge": badge,
		"cell":  withItsUnit(),
		"whole": func(cell string) bool {
			return utf8.RuneCountInString(cell) <= wholeCell && !strings.Contains(cell, " ")
		},
		"short": func(cell string) bool { return utf8.RuneCountInString(cell) <= shortCell },
		"upper": strings.ToUpper,
		"join":  func(list []string) string { return strings.Join(list, ", ") },
		"text":  func(sentences []string) string { return strings.Join(sentences, " ") },
		"first": func(i int) bool { return i == 0 },
		"add":   func(a, b float64) float64 { return math.Round(10*(a+b)) / 10 },
	}).Parse(document)
	if err != nil {
		return fmt.Errorf("read the template of the page: %w", err)
	}
	title := "Connections"
	if len(pages) == 1 {
		title = pages[0].Title
	}
	return t.Execute(w, struct {
		Title, Written string
		Several        bool
		Pages          []Page
	}{title, now.UTC().Format("2006-01-02 15:04 UTC"), len(pages) > 1, pages})
}

// shortCell is how long the head of a row may be that is not broken, such as a date with its time.
const shortCell = 17

// wholeCell is how long a word may be that is not broken, such as an address with its port.
const wholeCell = 21

// withItsUnit keeps the figures of a cell and their units on one line.
func withItsUnit() func(cell string) string {
	unitBehind := regexp.MustCompile(`(\d) (µs|ms|s|min|h|%)`)
	return func(cell string) string { return unitBehind.ReplaceAllString(cell, "$1\u00a0$2") }
}

// badge is how a page's standing is named and coloured.
func badge(worst v1alpha1.Severity) string {
	if worst == "" {
		return "none"
	}
	return string(worst)
}
