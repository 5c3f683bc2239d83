package main

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestNoServiceMayStartWhileAPackageIsInstalled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	allow, err := forbidServices(path)
	if err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := exec.CommandContext(t.Context(), path, "nginx", "start").Run(); !errors.As(err, &exit) || exit.ExitCode() != 101 {
		t.Errorf("the policy says %v", err)
	}
	allow()
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the policy stays: %v", err)
	}
}

func TestThePolicyOfTheMachineStays(t *testing.T) {
	path := filepath.Join(t.TempDir(), "policy-rc.d")
	if err := os.WriteFile(path, []byte("theirs"), 0o755); err != nil {
		t.Fatal(err)
	}
	allow, err := forbidServices(path)
	if err != nil {
		t.Fatal(err)
	}
	allow()
	if content, err := os.ReadFile(path); err != nil || string(content) != "theirs" {
		t.Errorf("the policy is now %q: %v", content, err)
	}
}
