package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
)

// yardsticks is where the programs in C are, from the root of the module.
const yardsticks = "hack/bench/yardsticks"

// stand is where one benchmark runs.
type stand struct {
	bed *bed.Bed
	// length is how long a comparison goes on.
	length time.Duration
	// directory holds the programs; worker and probe are two of them.
	directory, worker, probe string
}

// yardstick is the path of a program in C.
func (s *stand) yardstick(name string) string { return filepath.Join(s.directory, name) }

// needed are the programs that the benchmark runs, with the package of Debian that brings each.
func needed() map[string]string {
	return map[string]string{"cc": "gcc and libc6-dev", "go": "golang", "ip": "iproute2", "ss": "iproute2", "wrk": "wrk"}
}

// check says what is missing.
func check() error {
	var errs []error
	if os.Geteuid() != 0 {
		errs = append(errs, errors.New("it makes network namespaces: run it as root"))
	}
	for program, pack := range needed() {
		if _, err := exec.LookPath(program); err != nil {
			errs = append(errs, fmt.Errorf("the program %s is missing: install Debian's package %s", program, pack))
		}
	}
	if _, err := os.Stat(yardsticks); err != nil {
		errs = append(errs, fmt.Errorf("run it from the root of the module: %w", err))
	}
	return errors.Join(errs...)
}

// build builds all programs into a directory.
func build(ctx context.Context, directory string) error {
	sources, err := filepath.Glob(filepath.Join(yardsticks, "*.c"))
	if err != nil {
		return err
	}
	for _, source := range sources {
		program := filepath.Join(directory, strings.TrimSuffix(filepath.Base(source), ".c"))
		if err := run(ctx, "cc", "-O2", "-Wall", "-Wextra", "-o", program, source); err != nil {
			return err
		}
	}
	return run(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", directory+"/", "./cmd/probe", "./hack/bench/worker")
}

func run(ctx context.Context, program string, arguments ...string) error {
	command := exec.CommandContext(ctx, program, arguments...)
	command.Stdout, command.Stderr = os.Stderr, os.Stderr
	if err := command.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", program, strings.Join(arguments, " "), err)
	}
	return nil
}
