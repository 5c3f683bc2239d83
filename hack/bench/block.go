package main

import (
	"fmt"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/bed"
)

// blocks are the answers of one worker or yardstick, a round each.
type blocks struct {
	p50Microseconds, perSecond []float64
}

// ask has a program that yardsticks/connect.c describes do one block.
func (b *blocks) ask(program *bed.Program, warmup int, length time.Duration) error {
	if _, err := fmt.Fprintln(program.Input, warmup, length.Milliseconds()); err != nil {
		return fmt.Errorf("%s: %w", program.Name, err)
	}
	if !program.Lines.Scan() {
		return fmt.Errorf("%s ended without an answer", program.Name)
	}
	var count, nanoseconds, p50Nanoseconds float64
	if _, err := fmt.Sscan(program.Lines.Text(), &count, &nanoseconds, &p50Nanoseconds); err != nil {
		return fmt.Errorf("%s answered %q: %w", program.Name, program.Lines.Text(), err)
	}
	b.p50Microseconds = append(b.p50Microseconds, p50Nanoseconds/float64(time.Microsecond))
	b.perSecond = append(b.perSecond, count/nanoseconds*float64(time.Second))
	return nil
}
