package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// interruptGrace is how long a command may take to clean up after it was interrupted.
const interruptGrace = time.Minute

// command prepares a program that is interrupted, not killed, when the context ends. It gets a process group of its own,
// so that Ctrl-C in a terminal reaches it once, through us, and in our order.
func command(ctx context.Context, out io.Writer, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = interruptGrace
	return cmd
}

// run runs a program and shows what it says. If it failed because the context has ended, the error begins with why that is.
func run(ctx context.Context, out io.Writer, program string, args ...string) error {
	err := command(ctx, out, program, args...).Run()
	if err == nil {
		return nil
	}
	err = fmt.Errorf("%s %s: %w", program, strings.Join(args, " "), err)
	if ctx.Err() != nil {
		return fmt.Errorf("%w (%w)", context.Cause(ctx), err)
	}
	return err
}

// exitCode returns the exit code of a program that ran, and an error if it did not run.
func exitCode(err error) (int, error) {
	if err == nil {
		return 0, nil
	}
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && exit.Exited() {
		return exit.ExitCode(), nil
	}
	return 0, err
}
