package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

const (
	// runtimeDir holds what lives as long as a running lab: sockets, keys, rendered configuration, the record of
	// what was started. Its path is short because a unix socket's may have 107 characters (unix(7)).
	runtimeDir = "/run/connpolicy-lab"
	// stateDir holds what may grow large: etcd's data and the file system that each node sees as its own.
	stateDir = "/var/lib/connpolicy-lab"
	// nodeBinDir is where the programs built under bin/lab/bin are seen from inside a node.
	nodeBinDir = runtimeDir + "/bin"
)

// layout names the places inside one checkout of the project.
type layout struct {
	root string
}

// findLayout looks for the checkout that holds the working directory.
func findLayout() (layout, error) {
	start, err := os.Getwd()
	if err != nil {
		return layout{}, fmt.Errorf("find the working directory: %w", err)
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		_, err := os.Stat(filepath.Join(dir, "hack", "lab", "go.mod"))
		if err == nil {
			return layout{root: dir}, nil
		}
		if !errors.Is(err, os.ErrNotExist) {
			return layout{}, fmt.Errorf("look for the checkout: %w", err)
		}
		if dir == filepath.Dir(dir) {
			return layout{}, fmt.Errorf("%s is not inside a checkout of connpolicy: run the lab from one", start)
		}
	}
}

func (l layout) module() string          { return filepath.Join(l.root, "hack", "lab") }
func (l layout) lab() string             { return filepath.Join(l.root, "bin", "lab") }
func (l layout) bin() string             { return filepath.Join(l.lab(), "bin") }
func (l layout) stamps() string          { return filepath.Join(l.lab(), "stamps") }
func (l layout) logs() string            { return filepath.Join(l.lab(), "logs") }
func (l layout) kubeconfig() string      { return filepath.Join(l.lab(), "kubeconfig") }
func (l layout) pauseImage() string      { return filepath.Join(l.lab(), "pause.tar") }
func (l layout) program(n string) string { return filepath.Join(l.bin(), n) }
func (l layout) log(n string) string     { return filepath.Join(l.logs(), n+".log") }

// absent tells whether nothing is at the path.
func absent(path string) bool {
	_, err := os.Lstat(path)
	return errors.Is(err, os.ErrNotExist)
}
