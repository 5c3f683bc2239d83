package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"
)

// progressInterval is how often a build that is under way says that it is.
const progressInterval = 20 * time.Second

// buildPrograms builds the named programs, all when none is named, and skips those whose stamp says that they are
// up to date.
func buildPrograms(ctx context.Context, l layout, only []string) (err error) {
	wanted, err := selectPrograms(programs(), only)
	if err != nil {
		return err
	}
	unlock, err := lockBuilds(ctx, l)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	inputs, err := sharedBuildInputs(l)
	if err != nil {
		return err
	}
	var stale []program
	for _, p := range wanted {
		if !upToDate(l, p, stampOf(inputs, p)) {
			stale = append(stale, p)
		}
	}
	if len(stale) == 0 {
		say("all %d programs are up to date in %s", len(wanted), l.bin())
		return nil
	}
	var packages []string
	for _, p := range stale {
		packages = append(packages, p.debianPackages...)
	}
	if err := ensureDebianPackages(ctx, packages); err != nil {
		return err
	}
	if err := os.MkdirAll(l.bin(), 0o755); err != nil {
		return fmt.Errorf("make the directory for programs: %w", err)
	}
	for i, p := range stale {
		prefix := fmt.Sprintf("[%d/%d] %s", i+1, len(stale), p.name)
		if err := buildProgram(ctx, l, p, prefix); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(l.stamps(), p.name), []byte(stampOf(inputs, p)), 0o644); err != nil {
			return fmt.Errorf("write the stamp of %s: %w", p.name, err)
		}
	}
	return nil
}

// selectPrograms returns the programs with the given names, all of them when no name is given.
func selectPrograms(all []program, names []string) ([]program, error) {
	if len(names) == 0 {
		return all, nil
	}
	var selected []program
	for _, name := range names {
		i := slices.IndexFunc(all, func(p program) bool { return p.name == name })
		if i < 0 {
			known := make([]string, len(all))
			for j, p := range all {
				known[j] = p.name
			}
			return nil, fmt.Errorf("no program is named %q: choose from %s", name, strings.Join(known, ", "))
		}
		selected = append(selected, all[i])
	}
	return selected, nil
}

// sharedBuildInputs returns what every program's build depends on: the dependencies and the compiler.
func sharedBuildInputs(l layout) ([]byte, error) {
	inputs := []byte(runtime.Version() + runtime.GOARCH)
	for _, name := range []string{"go.mod", "go.sum", filepath.Join("pause", "main.go")} {
		content, err := os.ReadFile(filepath.Join(l.module(), name))
		if err != nil {
			return nil, fmt.Errorf("read what the programs are built from: %w", err)
		}
		inputs = append(inputs, content...)
	}
	return inputs, nil
}

// stampOf identifies a build of the program: it changes when anything that the binary depends on does.
func stampOf(sharedInputs []byte, p program) string {
	hash := sha256.New()
	fmt.Fprintf(hash, "%d\n%s\n%v", len(sharedInputs), sharedInputs, buildArguments(p, ""))
	fmt.Fprintf(hash, "%v", p.cgo)
	return hex.EncodeToString(hash.Sum(nil))
}

func upToDate(l layout, p program, stamp string) bool {
	built, err := os.ReadFile(filepath.Join(l.stamps(), p.name))
	return err == nil && string(built) == stamp && !absent(l.program(p.name))
}

func buildArguments(p program, output string) []string {
	return []string{"build", "-mod=readonly", "-trimpath", "-buildvcs=false",
		"-tags=" + p.tags, "-ldflags=" + p.linkerFlags, "-o", output, p.importPath}
}

// buildProgram builds one program beside its place and renames it, so that a program that runs is never half written.
func buildProgram(ctx context.Context, l layout, p program, prefix string) error {
	say("%s: building", prefix)
	start := time.Now()
	temporary := l.program("." + p.name)
	cmd := exec.CommandContext(ctx, "go", buildArguments(p, temporary)...)
	endGently(cmd, os.Interrupt)
	cmd.Dir = l.module()
	cgo := "CGO_ENABLED=0"
	if p.cgo {
		cgo = "CGO_ENABLED=1"
	}
	cmd.Env = append(os.Environ(), cgo)
	stopProgress := sayEvery(progressInterval, func() {
		say("%s: still building, %.0f s", prefix, time.Since(start).Seconds())
	})
	output, err := cmd.CombinedOutput()
	stopProgress()
	if err != nil {
		err = fmt.Errorf("build %s: %w\n%s", p.name, err, output)
		if removeErr := os.Remove(temporary); removeErr != nil && !errors.Is(removeErr, os.ErrNotExist) {
			return errors.Join(err, removeErr)
		}
		return err
	}
	if err := os.Rename(temporary, l.program(p.name)); err != nil {
		return fmt.Errorf("put %s in its place: %w", p.name, err)
	}
	say("%s: built in %.0f s", prefix, time.Since(start).Seconds())
	return nil
}

// endGently has a command asked to end when its context does, so that it can tidy up after itself and its children.
func endGently(cmd *exec.Cmd, signal os.Signal) {
	cmd.Cancel = func() error { return cmd.Process.Signal(signal) }
	cmd.WaitDelay = time.Minute
}
