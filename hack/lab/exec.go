package main

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
)

// execIn becomes a command inside a node, or beside the control plane, to look around there.
func execIn(arguments []string) error {
	if len(arguments) < 2 {
		return errors.New("name a node (or control) and a command, as in: exec node-1 ip route")
	}
	r, err := readRecord()
	if err != nil {
		return err
	}
	if r == nil {
		return errNoLab
	}
	place, command := arguments[0], arguments[1:]
	where := surroundings{Cgroup: programCgroup("exec"), NetworkNamespace: place}
	if place != controlNamespace {
		i := slices.IndexFunc(nodes(), func(n node) bool { return n.name == place })
		if i < 0 {
			return fmt.Errorf("the lab has no node %q: choose control or one that `status` shows", place)
		}
		containerd, err := r.find(containerdName(nodes()[i]))
		if err != nil {
			return err
		}
		where.MountsOfPID = containerd.PID
	}
	all, err := machineHierarchies()
	if err != nil {
		return err
	}
	if err := createCgroup(all, where.Cgroup); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("find the command: %w", err)
	}
	return where.enter(append([]string{path}, command[1:]...))
}
