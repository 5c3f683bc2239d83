package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/figures"
)

const dumpSockets = 50_000

// benchDump compares the listing of many sockets with their tcp_info with that of ss, each as a whole process.
func benchDump(ctx context.Context, s *stand) ([]figures.Figure, error) {
	sockets, err := s.gather(ctx, dumpSockets)
	if err != nil {
		return nil, err
	}
	defer sockets.disperse()
	var probe, ss []float64
	// The first line of ss is a heading, and a socket has two lines.
	seenBySS := func(output string) int { return (strings.Count(output, "\n") - 1) / 2 }
	seenByProbe := func(output string) int {
		count, err := strconv.Atoi(strings.TrimSpace(output))
		if err != nil {
			return -1
		}
		return count
	}
	run := func(into *[]float64, seen func(string) int, path string, arguments ...string) func() error {
		return func() error {
			begin := time.Now()
			output, err := s.bed.Client.Run(ctx, path, arguments...)
			if err != nil {
				return err
			}
			*into = append(*into, milliseconds(time.Since(begin)))
			if count := seen(string(output)); count != dumpSockets {
				return fmt.Errorf("%s listed %d of %d sockets", path, count, dumpSockets)
			}
			return nil
		}
	}
	err = interleave(ctx, s.length,
		run(&probe, seenByProbe, s.worker, "dump"),
		run(&ss, seenBySS, "ss", "-tin"))
	if err != nil {
		return nil, err
	}
	name := fmt.Sprintf("dump of %d sockets", dumpSockets)
	return []figures.Figure{
		figures.Compare(name, "ms", probe, "ss -tin", ss, figures.Bound{AtMost: 1.0}),
	}, nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
