// Package columns lays text out for terminals, where each character is as wide as the others.
package columns

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks a text between words into lines of so many characters. A word that is longer stands alone. An empty text has
// one line.
func Wrap(text string, columns int) []string {
	lines := []string{""}
	for _, word := range strings.Fields(text) {
		last := &lines[len(lines)-1]
		switch {
		case *last == "":
			*last = word
		case utf8.RuneCountInString(*last)+1+utf8.RuneCountInString(word) > columns:
			lines = append(lines, word)
		default:
			*last += " " + word
		}
	}
	return lines
}

// Align writes rows as lines, with the cells of each column below each other, and no blanks at the end. Each row has as
// many cells as the first.
func Align(rows [][]string) []string {
	if len(rows) == 0 {
		return nil
	}
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	lines := make([]string, 0, len(rows))
	for _, row := range rows {
		var line strings.Builder
		for i, cell := range row {
			line.WriteString(cell + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell)+2))
		}
		lines = append(lines, strings.TrimRight(line.String(), " "))
	}
	return lines
}

// headColumns is how wide a head may be although what stands below it is narrower.
const headColumns = 14

// Table writes a head and its rows as lines of at most most characters, with the cells of each column below each other. 0:
// lines may be as long as cells are. Heads that are wider than what stands below them are broken between words, and so are
// the widest cells where lines would be too long. A line is longer than most if its words leave no other way.
func Table(head []string, rows [][]string, most int) []string {
	widths, least := make([]int, len(head)), make([]int, len(head))
	for i, title := range head {
		least[i] = longestWord(title)
		widths[i] = max(least[i], min(utf8.RuneCountInString(title), headColumns))
		for _, row := range rows {
			least[i] = max(least[i], longestWord(row[i]))
			widths[i] = max(widths[i], utf8.RuneCountInString(row[i]))
		}
	}
	if most > 0 {
		narrow(widths, least, most)
	}
	var lines [][]string
	for _, row := range append([][]string{head}, rows...) {
		lines = append(lines, broken(row, widths)...)
	}
	return Align(lines)
}

// narrow takes from the widest columns, as long as their words allow it, until all fit into most characters.
func narrow(widths, least []int, most int) {
	const apart = 2
	for {
		total, widest := -apart, -1
		for i, width := range widths {
			total += width + apart
			if width > least[i] && (widest < 0 || width > widths[widest]) {
				widest = i
			}
		}
		if total <= most || widest < 0 {
			return
		}
		widths[widest]--
	}
}

// broken is a row as so many lines as its cells need.
func broken(row []string, widths []int) [][]string {
	var lines [][]string
	for i, cell := range row {
		parts := []string{cell}
		if utf8.RuneCountInString(cell) > widths[i] {
			parts = Wrap(cell, widths[i])
		}
		for n, part := range parts {
			if n == len(lines) {
				lines = append(lines, make([]string, len(row)))
			}
			lines[n][i] = part
		}
	}
	return lines
}

func longestWord(text string) int {
	longest := 0
	for _, word := range strings.Fields(text) {
		longest = max(longest, utf8.RuneCountInString(word))
	}
	return longest
}
