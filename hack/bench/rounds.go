package main

import (
	"context"
	"math/rand/v2"
	"time"
)

// interleave runs rounds until the time is over, one at least. In each round every contender has one block, in an order
// that chance makes, so that whatever else the machine does meets all of them alike.
func interleave(ctx context.Context, length time.Duration, contenders ...func() error) error {
	order := make([]int, len(contenders))
	for i := range order {
		order[i] = i
	}
	for end := time.Now().Add(length); ; {
		rand.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		for _, i := range order {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := contenders[i](); err != nil {
				return err
			}
		}
		if time.Now().After(end) {
			return nil
		}
	}
}
