package main

import (
	"bytes"
	"os"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/runner"
)

func TestProgress(t *testing.T) {
	now := time.Unix(1000, 0)
	p := runner.Progress{Measurement: "idle", End: now.Add(90 * time.Second), Spent: result.Spent{Connections: 36, Requests: 40}}
	if got, want := progress(p, now), "idle, for 90 s at most; 36 connections, 40 requests so far"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if got, want := progress(p, now.Add(time.Hour)), "idle, for 0 s at most; 36 connections, 40 requests so far"; got != want {
		t.Errorf("after the end: %q, want %q", got, want)
	}
}

// What is read by programs holds no line that is written over again and again.
func TestProgressIsForTerminalsAlone(t *testing.T) {
	file, err := os.Create(t.TempDir() + "/stderr")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if show, wipe := showProgress(file); show != nil {
		wipe()
		t.Error("progress is shown in a file")
	}
	if show, wipe := showProgress(&bytes.Buffer{}); show != nil {
		wipe()
		t.Error("progress is shown in a buffer")
	}
}
