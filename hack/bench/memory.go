package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

const (
	// memoryLook is how often the high-water mark of the probe's memory is read. It never falls, so that only what comes
	// after the last look can be missed.
	memoryLook = 20 * time.Millisecond
	// memoryRequestsPerSecond, far more than the operator's limits, give a run more samples to hold than any real one.
	memoryRequestsPerSecond = 5000
)

// benchMemory watches the memory of a probe that makes all default measurements, faster than any real one may.
func benchMemory(ctx context.Context, s *stand) ([]figures.Figure, error) {
	address := bed.ServerAddress + ":" + serverPort
	server, err := s.bed.Server.Start(ctx, s.probe, "serve", "--listen", address)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	if err := s.bed.Client.Await(ctx, address); err != nil {
		return nil, err
	}
	probe, err := s.bed.Client.Start(ctx, s.probe, "run", "--target", "http://"+address+"/", "-o", "json",
		"--limit-connections", "100000", "--limit-rps", strconv.Itoa(memoryRequestsPerSecond),
		"--limit-seconds", strconv.Itoa(int(s.length.Seconds())))
	if err != nil {
		return nil, err
	}
	highest, err := watchMemory(ctx, probe)
	if state := probe.Stop(); err == nil && !state.Success() {
		err = fmt.Errorf("the probe's run ended with: %s", state)
	}
	if err != nil {
		return nil, err
	}
	return []figures.Figure{
		figures.Alone("peak resident memory of the probe", "MiB", []float64{highest}, figures.Bound{AtMost: 30}),
	}, nil
}

// watchMemory reads the high-water mark, in MiB, until the program closes its output at its end. It asks /proc, since the
// kernel's account of a process that has ended (ru_maxrss) begins with the size of its parent.
func watchMemory(ctx context.Context, program *bed.Program) (float64, error) {
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for program.Lines.Scan() {
			continue
		}
	}()
	looks := time.NewTicker(memoryLook)
	defer looks.Stop()
	highest := 0.0
	for {
		if mark, err := highWaterMark(program.PID()); err == nil {
			highest = max(highest, mark)
		} else if !errors.Is(err, errNoMemory) {
			return 0, err
		}
		select {
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		case <-ended:
			if highest == 0 {
				return 0, errNoMemory
			}
			return highest, nil
		case <-looks.C:
		}
	}
}

// errNoMemory is of a process that has ended.
var errNoMemory = errors.New("the process has no memory any more")

// highWaterMark is the largest resident memory that a process had, in MiB.
func highWaterMark(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	mark := regexp.MustCompile(`(?m)^VmHWM:\s*(\d+) kB$`).FindSubmatch(status)
	if mark == nil {
		return 0, errNoMemory
	}
	kibibytes, err := strconv.ParseFloat(string(mark[1]), 64)
	return kibibytes / 1024, err
}
