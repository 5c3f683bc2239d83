package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/figures"
	"github.com/connpolicy/connpolicy/probes/procnet"
)

// results are what is kept of a run.
type results struct {
	Time    time.Time        `json:"time"`
	Kernel  string           `json:"kernel"`
	Go      string           `json:"go"`
	CPUs    int              `json:"cpus"`
	Figures []figures.Figure `json:"figures"`
}

// keep writes the figures to a file and returns its path.
func keep(all []figures.Figure) (string, error) {
	kernel, err := procnet.New("/proc").KernelRelease()
	if err != nil {
		return "", err
	}
	data, err := json.MarshalIndent(results{
		Time: time.Now().UTC().Truncate(time.Second), Kernel: kernel, Go: runtime.Version(), CPUs: runtime.NumCPU(), Figures: all,
	}, "", "  ")
	if err != nil {
		return "", err
	}
	path := filepath.Join("bin", "bench", "results.json")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", fmt.Errorf("keep the results: %w", err)
	}
	if err := os.WriteFile(path, append(data, '\n'), 0o644); err != nil {
		return "", fmt.Errorf("keep the results: %w", err)
	}
	return path, nil
}
