package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// patienceToEnd bounds how long killed processes may take to end, and cgroups to become free.
const patienceToEnd = 20 * time.Second

// down stops the lab and removes all that it left, whoever started it and however far it had come.
func down() (err error) {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	left, err := leftovers()
	if err != nil {
		return err
	}
	if len(left) == 0 {
		say("no lab is here")
		return nil
	}
	if err := teardown(); err != nil {
		return err
	}
	say("the lab is gone; the built programs and the logs of its last run stay")
	return nil
}

// teardown removes everything of the lab but built programs and logs. Each step works on what is there, not on what
// a record says, so it can be repeated and needs no earlier step of up to have succeeded.
func teardown() error {
	r, recordErr := readRecord() // a broken record must not keep the rest alive
	if err := stopProcesses(); err != nil {
		return errors.Join(err, recordErr)
	}
	if err := unmountAll(); err != nil {
		return errors.Join(err, recordErr)
	}
	if err := removeNetwork(); err != nil {
		return errors.Join(err, recordErr)
	}
	all, err := machineHierarchies()
	if err != nil {
		return errors.Join(err, recordErr)
	}
	if err := removeCgroup(all, labCgroup, patienceToEnd); err != nil {
		return errors.Join(err, recordErr)
	}
	if r != nil {
		if err := os.Remove(layout{root: r.Root}.kubeconfig()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the kubeconfig: %w", err)
		}
	}
	for _, dir := range []string{stateDir, runtimeDir} {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
	}
	return nil
}

// stopProcesses kills, in an order in which none starts another again: what restarts pods, then the pods, then the
// rest with containerd and its shims. Nothing of their state is kept, so none is asked to save it.
func stopProcesses() error {
	all, err := machineHierarchies()
	if err != nil {
		return err
	}
	var order []string
	for _, n := range nodes() {
		order = append(order, programCgroup("kubelet-"+n.name))
	}
	for _, n := range nodes() {
		order = append(order, podsCgroup(n))
	}
	for _, cgroup := range append(order, labCgroup) {
		if err := killCgroup(all, cgroup, patienceToEnd); err != nil {
			return err
		}
	}
	return nil
}

// unmountAll unmounts what is mounted below the lab's directories, last mounted first. The nodes' mounts are not
// among it: they went with the nodes' mount namespaces.
func unmountAll() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	for _, dir := range []string{stateDir, runtimeDir} {
		for _, target := range mountsBelow(mounts, dir) {
			if filepath.Dir(target) == namespacesDir {
				continue // removeNetwork lets go of these
			}
			if err := unix.Unmount(target, unix.MNT_DETACH); err != nil {
				return fmt.Errorf("unmount %s: %w", target, err)
			}
		}
	}
	return nil
}
