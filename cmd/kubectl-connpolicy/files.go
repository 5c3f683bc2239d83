package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

	"github.com/connpolicy/connpolicy/internal/manifest"
)

// standardInput is how a command line names it.
const standardInput = "-"

// each opens the files that -f names, one after the other.
func (p *plugin) each(names []string, read func(name string, r io.Reader) error) error {
	for _, name := range names {
		if name == standardInput {
			if err := read(name, p.In); err != nil {
				return err
			}
			continue
		}
		paths, err := filesOf(name)
		if err != nil {
			return err
		}
		for _, path := range paths {
			if err := readFile(path, read); err != nil {
				return err
			}
		}
	}
	return nil
}

func readFile(path string, read func(string, io.Reader) error) error {
	file, err := os.Open(path) //nolint:gosec // the user names the file
	if err != nil {
		return err
	}
	defer file.Close()
	return read(path, file)
}

// filesOf are the files that a name stands for.
func filesOf(name string) ([]string, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return []string{name}, nil
	}
	var paths []string
	for _, pattern := range []string{"*.yaml", "*.yml", "*.json"} {
		found, err := filepath.Glob(filepath.Join(name, pattern))
		if err != nil {
			return nil, fmt.Errorf("list %s: %w", name, err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		return nil, fmt.Errorf("folder %s has no .yaml, .yml or .json file", name)
	}
	slices.Sort(paths)
	return paths, nil
}

// documents reads the objects of all files. What is no object is among the faults.
func (p *plugin) documents(names []string) (documents []manifest.Document, faults []error, err error) {
	err = p.each(names, func(name string, r io.Reader) error {
		read, wrong := manifest.Read(name, r)
		documents, faults = append(documents, read...), append(faults, wrong...)
		return nil
	})
	return documents, faults, err
}

// whole are the documents of files that have no faults.
func (p *plugin) whole(names []string) ([]manifest.Document, error) {
	documents, faults, err := p.documents(names)
	return documents, errors.Join(append(faults, err)...)
}
