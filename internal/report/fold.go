package report

import (
	"strings"

	"github.com/connpolicy/connpolicy/internal/columns"
)

// Fold breaks the long lines of a page in Markdown between words, as a terminal of so many columns has room for. Those of
// tables stay.
func Fold(markdown string, width int) string {
	var lines []string
	for _, line := range strings.Split(markdown, "\n") {
		if strings.HasPrefix(line, "|") || len(line) <= width {
			lines = append(lines, line)
			continue
		}
		head := ""
		if number, _, found := strings.Cut(line, ". "); found && len(number) < 3 { // an entry of a list
			head = strings.Repeat(" ", len(number)+2)
		}
		for i, part := range columns.Wrap(line, max(width-len(head), leastColumns)) {
			if i > 0 {
				part = head + part
			}
			lines = append(lines, part)
		}
	}
	return strings.Join(lines, "\n")
}
