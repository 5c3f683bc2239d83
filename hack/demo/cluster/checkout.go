// Package cluster starts the lab, installs the operator into it as a user would, and runs kubectl. The demonstration and
// the end-to-end tests stand on it.
package cluster

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// Checkout is the directory that holds the project's go.mod. Every path that is used is made from it.
type Checkout string

// FindCheckout looks for the checkout upwards from the working directory.
func FindCheckout() (Checkout, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the working directory: %w", err)
	}
	for directory := start; ; directory = filepath.Dir(directory) {
		_, err := os.Stat(filepath.Join(directory, "hack", "lab", "go.mod"))
		switch {
		case err == nil:
			return Checkout(directory), nil
		case !errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("look for the checkout: %w", err)
		case directory == filepath.Dir(directory):
			return "", fmt.Errorf("%s is not inside a checkout of connpolicy: run this from one", start)
		}
	}
}

// Path returns the path of something in the checkout.
func (c Checkout) Path(elements ...string) string {
	return filepath.Join(append([]string{string(c)}, elements...)...)
}
