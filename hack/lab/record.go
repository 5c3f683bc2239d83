package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// recordFile tells any later run of the lab, from whatever checkout, what was started.
const recordFile = runtimeDir + "/record.json"

// record is what a lab wrote down about itself while it started.
type record struct {
	Root      string           `json:"root"` // the checkout that it was started from
	Started   time.Time        `json:"started"`
	Complete  bool             `json:"complete"` // the start came to its end
	Processes []startedProcess `json:"processes"`
}

type startedProcess struct {
	Name    string    `json:"name"`
	Process processID `json:"process"`
}

// readRecord returns nil when no lab was started.
func readRecord() (*record, error) {
	content, err := os.ReadFile(recordFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the lab's record: %w", err)
	}
	var r record
	if err := json.Unmarshal(content, &r); err != nil {
		return nil, fmt.Errorf("read the lab's record %s (`down` removes it with all else): %w", recordFile, err)
	}
	return &r, nil
}

// save writes the record as a whole or not at all.
func (r *record) save() error {
	content, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the lab's record: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(recordFile), 0o755); err != nil {
		return fmt.Errorf("make the lab's runtime directory: %w", err)
	}
	temporary := recordFile + ".new"
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		return fmt.Errorf("write the lab's record: %w", err)
	}
	if err := os.Rename(temporary, recordFile); err != nil {
		return fmt.Errorf("write the lab's record: %w", err)
	}
	return nil
}

// find returns the process that was started under the name, if it still runs.
func (r *record) find(name string) (processID, error) {
	for _, started := range r.Processes {
		if started.Name != name {
			continue
		}
		alive, err := started.Process.alive()
		if err != nil {
			return processID{}, err
		}
		if !alive {
			return processID{}, fmt.Errorf("%s has ended: stop the lab with `down`, then start it with `up`", name)
		}
		return started.Process, nil
	}
	return processID{}, fmt.Errorf("the lab has no %s: see `status`", name)
}
