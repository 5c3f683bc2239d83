package main

import (
	"os"
	"os/exec"
	"testing"
)

// environmentPrint makes the test binary print to its standard error and end well.
const environmentPrint = "LAB_TEST_PRINT"

func TestMain(m *testing.M) {
	if os.Getenv(environmentPrint) != "" {
		outliveReaders()
		say("nobody reads this")
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A teardown must not end because the program that its messages went to has ended.
func TestPrintingOutlivesItsReader(t *testing.T) {
	reader, writer, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer writer.Close()
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), environmentPrint+"=1")
	cmd.Stderr = writer
	if err := cmd.Run(); err != nil {
		t.Errorf("printing to nobody: %v", err)
	}
}
