package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
)

// ensureDebianPackages installs those of the packages that are missing. It refreshes the package lists only when
// the lists at hand do not suffice.
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
