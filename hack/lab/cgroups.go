package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// labCgroup is the cgroup below which every process of the lab lives, in every hierarchy of the machine. It is what
// tells the lab's processes from all others, whoever started them and whatever became of their parents.
const labCgroup = "connpolicy-lab"

// programCgroup is where a program that the lab starts lives, with the children that it does not move elsewhere.
func programCgroup(name string) string { return labCgroup + "/programs/" + name }

// podsCgroup is the kubelet's cgroup root on a node.
func podsCgroup(n node) string { return labCgroup + "/" + n.name }

// hierarchy is one mounted tree of cgroups: the only one on a machine with cgroup v2, one a controller with v1.
type hierarchy struct {
	mountPoint string
	v2         bool
	cpuset     bool
}

// hierarchies returns the cgroup trees among the mounts.
func hierarchies(mounts []mount) []hierarchy {
	var found []hierarchy
	for _, m := range mounts {
		switch m.fsType {
		case "cgroup":
			cpuset := slices.Contains(strings.Split(m.superOptions, ","), "cpuset")
			found = append(found, hierarchy{mountPoint: m.target, cpuset: cpuset})
		case "cgroup2":
			found = append(found, hierarchy{mountPoint: m.target, v2: true})
		}
	}
	return found
}

func machineHierarchies() ([]hierarchy, error) {
	mounts, err := readMounts()
	if err != nil {
		return nil, err
	}
	found := hierarchies(mounts)
	if len(found) == 0 {
		return nil, errors.New("no cgroup file system is mounted: mount one at /sys/fs/cgroup")
	}
	return found, nil
}

// create makes the cgroup and its parents, ready to hold processes and limits.
func (h hierarchy) create(cgroup string) error {
	dir := h.mountPoint
	for _, part := range strings.Split(cgroup, "/") {
		if h.v2 {
			if err := delegateControllers(dir); err != nil {
				return err
			}
		}
		parent := dir
		dir = filepath.Join(dir, part)
		if err := os.Mkdir(dir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("make a cgroup: %w", err)
		}
		if h.cpuset {
			if err := inheritCpuset(parent, dir); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegateControllers lets the children of a v2 cgroup have every controller that it has itself.
func delegateControllers(dir string) error {
	available, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("read a cgroup's controllers: %w", err)
	}
	file := filepath.Join(dir, "cgroup.subtree_control")
	delegated, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("read what a cgroup delegates: %w", err)
	}
	for _, controller := range strings.Fields(string(available)) {
		if slices.Contains(strings.Fields(string(delegated)), controller) {
			continue
		}
		if err := os.WriteFile(file, []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("delegate the controller %s: %w", controller, err)
		}
	}
	return nil
}

// inheritCpuset gives a new v1 cpuset its parent's processors and memory nodes: it has none at first, and the
// kernel refuses processes in a cpuset without any (cpuset(7)).
func inheritCpuset(parent, dir string) error {
	for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
		value, err := os.ReadFile(filepath.Join(parent, name))
		if err != nil {
			return fmt.Errorf("read the parent's cpuset: %w", err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), value, 0o644); err != nil {
			return fmt.Errorf("set a cpuset: %w", err)
		}
	}
	return nil
}

// createCgroup makes the cgroup in every hierarchy.
func createCgroup(all []hierarchy, cgroup string) error {
	for _, h := range all {
		if err := h.create(cgroup); err != nil {
			return err
		}
	}
	return nil
}

// joinCgroup moves the calling process into the cgroup in every hierarchy.
func joinCgroup(all []hierarchy, cgroup string) error {
	for _, h := range all {
		file := filepath.Join(h.mountPoint, cgroup, "cgroup.procs")
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0o644); err != nil {
			return fmt.Errorf("join a cgroup: %w", err)
		}
	}
	return nil
}

// cgroupDirectories returns the directories of the cgroup and all below it, in every hierarchy, children first.
func cgroupDirectories(all []hierarchy, cgroup string) ([]string, error) {
	var dirs []string
	for _, h := range all {
		err := filepath.WalkDir(filepath.Join(h.mountPoint, cgroup), func(path string, entry fs.DirEntry, err error) error {
			switch {
			case errors.Is(err, fs.ErrNotExist): // it never was, or went while we looked
				return nil
			case err != nil:
				return fmt.Errorf("list cgroups: %w", err)
			case entry.IsDir():
				dirs = append(dirs, path)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	slices.Reverse(dirs)
	return dirs, nil
}

// cgroupProcesses returns the processes in the cgroup and all below it, each once.
func cgroupProcesses(all []hierarchy, cgroup string) ([]int, error) {
	dirs, err := cgroupDirectories(all, cgroup)
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, dir := range dirs {
		content, err := os.ReadFile(filepath.Join(dir, "cgroup.procs"))
		if gone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("list a cgroup's processes: %w", err)
		}
		for _, field := range strings.Fields(string(content)) {
			pid, err := strconv.Atoi(field)
			if err != nil {
				return nil, fmt.Errorf("read a process id in %s: %w", dir, err)
			}
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return slices.Compact(pids), nil
}

// removeCgroup removes the cgroup and all below it. The kernel lets go of a cgroup a moment after its last process
// has ended, so what is busy is tried again until the time is over.
func removeCgroup(all []hierarchy, cgroup string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	again := time.NewTicker(pollInterval)
	defer again.Stop()
	for ; ; <-again.C {
		dirs, err := cgroupDirectories(all, cgroup)
		if err != nil || len(dirs) == 0 {
			return err
		}
		var busy error
		for _, dir := range dirs {
			if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
				busy = err
			}
		}
		if busy != nil && time.Now().After(deadline) {
			return fmt.Errorf("remove a cgroup: %w", busy)
		}
	}
}
