package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// policyFile is the program that packages ask whether they may start what they bring (invoke-rc.d(8), deb-systemd-invoke(1p)).
const policyFile = "/usr/sbin/policy-rc.d"

// runPackages installs packages and starts nothing of theirs.
func runPackages(ctx context.Context, names []string) error {
	if len(names) == 0 {
		return errors.New("name the packages to install")
	}
	return ensureDebianPackages(ctx, names)
}

// ensureDebianPackages installs those of the packages that are missing, and starts none of the services that they bring. It
// refreshes the package lists only when the lists at hand do not suffice.
func ensureDebianPackages(ctx context.Context, packages []string) error {
	missing := missingDebianPackages(ctx, packages)
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("install what these packages of Debian hold, then run the lab again: %s", strings.Join(missing, " "))
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("packages are missing and only root can install them; run: apt-get install %s", strings.Join(missing, " "))
	}
	say("installing %s", strings.Join(missing, " "))
	allow, err := forbidServices(policyFile)
	if err != nil {
		return fmt.Errorf("forbid packages to start their services: %w", err)
	}
	defer allow()
	install := append([]string{"install", "--yes", "--no-install-recommends"}, missing...)
	if _, err := aptGet(ctx, install...); err == nil {
		return nil
	}
	if output, err := aptGet(ctx, "update"); err != nil {
		return fmt.Errorf("refresh the package lists: %w\n%s", err, output)
	}
	if output, err := aptGet(ctx, install...); err != nil {
		return fmt.Errorf("install %s: %w\n%s", strings.Join(missing, " "), err, output)
	}
	return nil
}

// forbidServices writes the policy that no service may be started, unless the machine has a policy, and returns what takes
// it back.
func forbidServices(path string) (allow func(), err error) {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o755)
	if errors.Is(err, fs.ErrExist) {
		return func() {}, nil
	}
	if err != nil {
		return nil, err
	}
	const forbidden = 101 // the exit code that says so
	_, err = fmt.Fprintf(file, "#!/bin/sh\nexit %d\n", forbidden)
	if err := errors.Join(err, file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return func() {
		if err := os.Remove(path); err != nil {
			say("%s stays, and keeps packages from starting services: %v", path, err)
		}
	}, nil
}

// missingDebianPackages returns the packages that are not installed, each once, in order.
func missingDebianPackages(ctx context.Context, packages []string) []string {
	var missing []string
	for _, name := range slices.Compact(slices.Sorted(slices.Values(packages))) {
		// dpkg-query fails for a name that it does not know; either way the package is not there.
		status, err := exec.CommandContext(ctx, "dpkg-query", "--show", "--showformat=${db:Status-Status}", name).Output()
		if err != nil || string(status) != "installed" {
			missing = append(missing, name)
		}
	}
	return missing
}

func aptGet(ctx context.Context, args ...string) ([]byte, error) {
	// A machine that was just started often installs its updates, and holds the lock meanwhile.
	options := []string{"--quiet", "--option=DPkg::Lock::Timeout=300"}
	cmd := exec.CommandContext(ctx, "apt-get", append(options, args...)...)
	endGently(cmd, syscall.SIGTERM)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	return cmd.CombinedOutput()
}
