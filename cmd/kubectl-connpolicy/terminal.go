package main

import (
	"os"

	"golang.org/x/term"
)

// columns is how many characters a line of the terminal has that is written to. 0: it is not a terminal.
func (p *plugin) columns() int {
	file, ok := p.Out.(*os.File)
	if !ok {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}
