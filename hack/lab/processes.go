package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// processID identifies a process for good: a number alone is given to another process once its owner has ended.
type processID struct {
	PID        int    `json:"pid"`
	StartTicks uint64 `json:"startTicks"` // clock ticks from boot to its start: field 22 of proc_pid_stat(5)
}

// identify returns the identity of the process that has the number now.
func identify(pid int) (processID, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "stat"))
	if err != nil {
		return processID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	parsed, err := parseStat(string(stat))
	if err != nil {
		return processID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	return processID{PID: pid, StartTicks: parsed.startTicks}, nil
}

// alive tells whether that very process still runs. One that has ended and waits for its parent does not run.
func (p processID) alive() (bool, error) {
	stat, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(p.PID), "stat"))
	if gone(err) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at process %d: %w", p.PID, err)
	}
	parsed, err := parseStat(string(stat))
	if err != nil {
		return false, fmt.Errorf("look at process %d: %w", p.PID, err)
	}
	return parsed.startTicks == p.StartTicks && parsed.state != "Z" && parsed.state != "X", nil
}

// gone tells whether an error of reading what the kernel says of a process or a cgroup means that it is there no more.
// The file may be there when it is opened and not when it is read: then the kernel answers ESRCH of a process
// (fs/proc/base.c), ENODEV of a cgroup (fs/kernfs/file.c).
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) || errors.Is(err, syscall.ENODEV)
}

type processStat struct {
	state      string
	startTicks uint64
}

// parseStat reads proc_pid_stat(5). The program's name, field 2, may hold blanks and parentheses, so the fields are
// counted from the last closing one.
func parseStat(content string) (processStat, error) {
	fields := strings.Fields(content[strings.LastIndexByte(content, ')')+1:])
	const stateIndex, startIndex = 0, 19 // fields 3 and 22
	if len(fields) <= startIndex {
		return processStat{}, fmt.Errorf("the kernel's account of a process has an unknown form: %q", content)
	}
	startTicks, err := strconv.ParseUint(fields[startIndex], 10, 64)
	if err != nil {
		return processStat{}, fmt.Errorf("read the start time of a process: %w", err)
	}
	return processStat{state: fields[stateIndex], startTicks: startTicks}, nil
}

// pollInterval is how often the kernel is asked again for what it does in its own time: to end processes, to free
// cgroups.
const pollInterval = 10 * time.Millisecond

// killCgroup ends every process in the cgroup and below it, and returns when none is left.
func killCgroup(all []hierarchy, cgroup string, patience time.Duration) error {
	deadline := time.Now().Add(patience)
	again := time.NewTicker(pollInterval)
	defer again.Stop()
	for ; ; <-again.C {
		pids, err := cgroupProcesses(all, cgroup)
		if err != nil || len(pids) == 0 {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes %v in the cgroup %s do not end", pids, cgroup)
		}
		for _, pid := range pids {
			if err := killMember(pid, cgroup); err != nil {
				return err
			}
		}
	}
}

// killMember kills the process if it is in the cgroup. It holds the process by a handle (pidfd_open(2)) before it
// looks at the cgroup, so that a number given to another process in between is never hit.
func killMember(pid int, cgroup string) error {
	process, err := os.FindProcess(pid)
	if err != nil {
		return fmt.Errorf("take hold of process %d: %w", pid, err)
	}
	defer process.Release() //nolint:errcheck // it only closes a descriptor
	membership, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cgroup"))
	if gone(err) || err == nil && !inCgroup(string(membership), cgroup) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at the cgroup of process %d: %w", pid, err)
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("kill process %d: %w", pid, err)
	}
	return nil
}

// inCgroup tells whether a process with this content of /proc/PID/cgroup (cgroups(7)) is in the cgroup or below it,
// in any hierarchy.
func inCgroup(membership, cgroup string) bool {
	for line := range strings.Lines(membership) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) == 3 && strings.HasPrefix(parts[2]+"/", "/"+cgroup+"/") {
			return true
		}
	}
	return false
}
