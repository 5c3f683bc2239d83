package bed

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

const (
	// stopGrace is how long a program may take to end after SIGTERM.
	stopGrace = 10 * time.Second
	// listenGrace is how long a server may take to listen.
	listenGrace = 10 * time.Second
)

// Program is a program that runs in a namespace.
type Program struct {
	// Name is that of its file; Input is its standard input, Lines its standard output.
	Name  string
	Input io.Writer
	Lines *bufio.Scanner

	input   io.Closer
	command *exec.Cmd
}

// Start starts a program in the namespace, with what it says on standard error shown. The caller stops it.
func (n Namespace) Start(ctx context.Context, path string, arguments ...string) (*Program, error) {
	command := exec.CommandContext(ctx, path, arguments...)
	command.Stderr = os.Stderr
	input, err := command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p := &Program{Input: input, Lines: bufio.NewScanner(output), Name: filepath.Base(path), input: input, command: command}
	if err := n.Do(command.Start); err != nil {
		return nil, fmt.Errorf("start %s: %w", p.Name, err)
	}
	return p, nil
}

// StartReady starts a program that prints a line once it is ready, and waits for that line.
func (n Namespace) StartReady(ctx context.Context, path string, arguments ...string) (*Program, error) {
	p, err := n.Start(ctx, path, arguments...)
	if err != nil {
		return nil, err
	}
	if !p.Lines.Scan() {
		return nil, fmt.Errorf("%s was not ready: %v", p.Name, p.Stop())
	}
	return p, nil
}

// PID is the id of its process.
func (p *Program) PID() int { return p.command.Process.Pid }

// Stop ends the program: its standard input ends, then it gets SIGTERM, and SIGKILL if it stays. It returns how it ended.
func (p *Program) Stop() *os.ProcessState {
	_ = p.input.Close()
	// A program that has ended already cannot be signalled, nor need it be.
	_ = p.command.Process.Signal(syscall.SIGTERM)
	kill := time.AfterFunc(stopGrace, func() { _ = p.command.Process.Kill() })
	defer kill.Stop()
	// The state tells all that the error would.
	_ = p.command.Wait()
	return p.command.ProcessState
}

// Run runs a program in the namespace to its end and returns what it printed.
func (n Namespace) Run(ctx context.Context, path string, arguments ...string) ([]byte, error) {
	var output []byte
	err := n.Do(func() (err error) {
		output, err = exec.CommandContext(ctx, path, arguments...).Output()
		return err
	})
	if err != nil {
		return output, fmt.Errorf("%s: %w", filepath.Base(path), err)
	}
	return output, nil
}

// Await waits until something listens on an address that the namespace reaches.
func (n Namespace) Await(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, listenGrace)
	defer cancel()
	return n.Do(func() error {
		var dialer net.Dialer
		for {
			connection, err := dialer.DialContext(ctx, "tcp", address)
			if err == nil {
				return connection.Close()
			}
			select {
			case <-ctx.Done():
				return fmt.Errorf("nothing listens on %s: %w", address, err)
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
}
