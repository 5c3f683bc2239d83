package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// launcher starts the programs of the lab, each in its surroundings, and writes down what it started.
type launcher struct {
	layout      layout
	hierarchies []hierarchy
	record      *record
	exits       chan error // the programs that ended, and how; none should while the lab starts
}

func newLauncher(l layout, r *record) (*launcher, error) {
	all, err := machineHierarchies()
	if err != nil {
		return nil, err
	}
	return &launcher{layout: l, hierarchies: all, record: r, exits: make(chan error, len(programs()))}, nil
}

// start runs the program until somebody stops it; it outlives the lab's own process. Its output goes to the log of
// its name.
func (l *launcher) start(name string, s surroundings, command []string) (processID, error) {
	s.Cgroup = programCgroup(name)
	cmd, err := l.command(context.Background(), s, command)
	if err != nil {
		return processID{}, err
	}
	log, err := os.Create(l.layout.log(name))
	if err != nil {
		return processID{}, fmt.Errorf("make the log of %s: %w", name, err)
	}
	defer log.Close() // the program writes through a descriptor of its own
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C at the terminal is for the lab alone
	if err := cmd.Start(); err != nil {
		return processID{}, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		l.exits <- fmt.Errorf("%s ended (%w); the end of %s:\n%s",
			name, exitCause(cmd.Wait()), log.Name(), tail(log.Name()))
	}()
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		return processID{}, err
	}
	l.record.Processes = append(l.record.Processes, startedProcess{Name: name, Process: id})
	return id, l.record.save()
}

// run runs the program to its end and returns what it printed with the error.
func (l *launcher) run(ctx context.Context, s surroundings, input io.Reader, command []string) error {
	cmd, err := l.command(ctx, s, command)
	if err != nil {
		return err
	}
	cmd.Stdin = input
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", filepath.Base(command[0]), err, output)
	}
	return nil
}

func (l *launcher) command(ctx context.Context, s surroundings, command []string) (*exec.Cmd, error) {
	if err := createCgroup(l.hierarchies, s.Cgroup); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(s)
	if err != nil {
		return nil, fmt.Errorf("encode where to run: %w", err)
	}
	// By this name it is found even when its file was built anew meanwhile (proc_pid_exe(5)).
	const self = "/proc/self/exe"
	cmd := exec.CommandContext(ctx, self, append([]string{enterCommand, string(encoded)}, command...)...)
	cmd.Dir = "/"
	cmd.Env = []string{
		"PATH=" + filepath.Dir(command[0]) + ":/usr/sbin:/usr/bin:/sbin:/bin",
		"HOME=/root",
	}
	return cmd, nil
}

// await calls ready until it answers true. It gives up when the patience ends, when the context does, or when a
// program that was started has ended.
func (l *launcher) await(ctx context.Context, what string, patience time.Duration, ready func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("not within %s", patience))
	defer cancel()
	const interval = 100 * time.Millisecond
	var last error
	for {
		done, err := ready(ctx)
		if done {
			return nil
		}
		if err != nil && ctx.Err() == nil {
			last = err
		}
		select {
		case exit := <-l.exits:
			return fmt.Errorf("wait for %s: %w", what, exit)
		case <-ctx.Done():
			if last != nil {
				return fmt.Errorf("wait for %s: %w (the last answer: %w; logs are in %s)",
					what, context.Cause(ctx), last, l.layout.logs())
			}
			return fmt.Errorf("wait for %s: %w (logs are in %s)", what, context.Cause(ctx), l.layout.logs())
		case <-time.After(interval):
		}
	}
}

func exitCause(err error) error {
	if err == nil {
		return fmt.Errorf("exit status 0")
	}
	return err
}

// tail returns the last lines of a log, as much as helps to see why a program ended.
func tail(path string) []byte {
	const maxBytes = 2000
	content, err := os.ReadFile(path)
	if err != nil {
		return []byte(err.Error())
	}
	if len(content) > maxBytes {
		content = content[len(content)-maxBytes:]
		content = content[bytes.IndexByte(content, '\n')+1:]
	}
	return content
}
