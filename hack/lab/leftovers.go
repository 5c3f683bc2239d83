package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// leftovers lists what of a lab is on the machine, running or not: processes, cgroups, mounts, network namespaces,
// links, directories. Built programs and logs are not of a lab.
func leftovers() ([]string, error) {
	var left []string
	for _, find := range []func() ([]string, error){
		leftProcesses, leftCgroups, leftMounts, leftLinks, leftDirectories,
	} {
		found, err := find()
		if err != nil {
			return nil, err
		}
		left = append(left, found...)
	}
	return left, nil
}

// leftProcesses finds the lab's processes by their cgroup, and any other that runs a program of a node or is in one
// of the lab's network namespaces.
func leftProcesses() ([]string, error) {
	namespaces, err := labNamespaces()
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var left []string
	for _, entry := range entries {
		dir := filepath.Join("/proc", entry.Name())
		membership, err := os.ReadFile(filepath.Join(dir, "cgroup"))
		if err != nil { // not a process, or one that has ended by now
			continue
		}
		executable, err := os.Readlink(filepath.Join(dir, "exe"))
		if err != nil { // a thread of the kernel, or a process that has ended by now
			continue
		}
		network, err := os.Stat(filepath.Join(dir, "ns", "net"))
		if err != nil { // a process that has ended by now
			continue
		}
		inNamespace := slices.ContainsFunc(namespaces, func(held os.FileInfo) bool { return os.SameFile(held, network) })
		if inCgroup(string(membership), labCgroup) || strings.HasPrefix(executable, runtimeDir+"/") || inNamespace {
			left = append(left, fmt.Sprintf("process %s (%s)", entry.Name(), executable))
		}
	}
	return left, nil
}

// labNamespaces returns the network namespaces that the lab holds.
func labNamespaces() ([]os.FileInfo, error) {
	entries, err := os.ReadDir(namespacesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the network namespaces: %w", err)
	}
	var held []os.FileInfo
	for _, entry := range entries {
		info, err := os.Stat(filepath.Join(namespacesDir, entry.Name()))
		if err != nil {
			return nil, fmt.Errorf("look at a network namespace: %w", err)
		}
		held = append(held, info)
	}
	return held, nil
}

// leftCgroups lists the top of the lab's tree in every hierarchy that has one.
func leftCgroups() ([]string, error) {
	all, err := machineHierarchies()
	if err != nil {
		return nil, err
	}
	var left []string
	for _, h := range all {
		if dir := filepath.Join(h.mountPoint, labCgroup); !absent(dir) {
			left = append(left, "cgroup "+dir)
		}
	}
	return left, nil
}

// leftMounts lists mounts, the network namespaces being mounts as well.
func leftMounts() ([]string, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	return prefixed("mount", append(mountsBelow(mounts, stateDir), mountsBelow(mounts, runtimeDir)...)), nil
}

func leftLinks() ([]string, error) {
	exists, err := hostLinkExists()
	if err != nil || !exists {
		return nil, err
	}
	return []string{"network link " + hostLinkName}, nil
}

func leftDirectories() ([]string, error) {
	var left []string
	for _, dir := range []string{stateDir, runtimeDir} {
		if !absent(dir) {
			left = append(left, "directory "+dir)
		}
	}
	return left, nil
}

func prefixed(kind string, names []string) []string {
	described := make([]string, len(names))
	for i, name := range names {
		described[i] = kind + " " + name
	}
	return described
}
