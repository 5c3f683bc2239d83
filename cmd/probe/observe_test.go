package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/probes/result"
)

func TestObserveReportsAfterItsSeconds(t *testing.T) {
	var stdout, stderr bytes.Buffer
	log := filepath.Join(t.TempDir(), "connections")
	arguments := []string{"observe", "--seconds", "1", "-o", "json", "--log", log}
	if code := execute(t.Context(), arguments, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	var seen result.Observation
	if err := json.Unmarshal(stdout.Bytes(), &seen); err != nil {
		t.Fatal(err)
	}
	if seen.Version != result.Version || seen.UptimeSeconds < 1 || seen.Cost.Looks < 2 || seen.Opened == nil || seen.Destinations == nil {
		t.Errorf("%s", stdout.String())
	}
	if _, err := os.Stat(log); err != nil {
		t.Error(err)
	}

	stdout.Reset()
	if code := execute(t.Context(), []string{"observe", "--seconds", "1", "--listen", "127.0.0.1:0"}, &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, stderr.String())
	}
	if !strings.HasPrefix(stdout.String(), "Looked for") {
		t.Errorf("%s", stdout.String())
	}
}

func TestObserveRefusesWhatItCannotDo(t *testing.T) {
	for _, arguments := range []string{"--seconds -1", "--seconds 1 -o xml", "--seconds 1 --log-lines 0", "--window-seconds 31"} {
		var stdout, stderr bytes.Buffer
		if code := execute(t.Context(), append([]string{"observe"}, strings.Fields(arguments)...), &stdout, &stderr); code != exitUsage {
			t.Errorf("%s: exit code %d, %s", arguments, code, stderr.String())
		}
	}
	var stdout, stderr bytes.Buffer
	missing := filepath.Join(t.TempDir(), "missing", "log")
	if code := execute(t.Context(), []string{"observe", "--seconds", "1", "--log", missing}, &stdout, &stderr); code != exitFailed {
		t.Errorf("a log that cannot be made: exit code %d, %s", code, stderr.String())
	}
}
