package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"strings"
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
		return fmt.Errorf("%w: start it with `up`", errNotUp)
	}
	place, command := arguments[0], arguments[1:]
	where := surroundings{Cgroup: programCgroup("exec"), NetworkNamespace: place}
	if place != controlNamespace {
		containerd := r.find("containerd-" + place)
		if containerd == nil {
			return fmt.Errorf("the lab has no node %q: choose from control, %s", place, strings.Join(nodeNames(), ", "))
		}
		where.MountsOfPID = containerd.Process.PID
	}
	l, err := newLauncher(layout{root: r.Root}, r)
	if err != nil {
		return err
	}
	if err := createCgroup(l.hierarchies, where.Cgroup); err != nil {
		return err
	}
	path, err := exec.LookPath(command[0])
	if err != nil {
		return fmt.Errorf("find the command: %w", err)
	}
	encoded, err := json.Marshal(where)
	if err != nil {
		return fmt.Errorf("encode where to run: %w", err)
	}
	return enter(string(encoded), append([]string{path}, command[1:]...))
}

func nodeNames() []string {
	var names []string
	for _, n := range nodes() {
		names = append(names, n.name)
	}
	return names
}
