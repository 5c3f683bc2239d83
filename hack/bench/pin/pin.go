// Package pin keeps a thread on one processor.
package pin

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// wordBits is the size of a word of unix.CPUSet on the machines that we build for.
const wordBits = 64

// Thread keeps the calling thread, and the processes that it starts, on the first processor that it may use. The caller
// has locked its goroutine to the thread.
func Thread() error {
	var allowed unix.CPUSet
	if err := unix.SchedGetaffinity(0, &allowed); err != nil {
		return fmt.Errorf("read the processors that may be used: %w", err)
	}
	for cpu := range wordBits * len(allowed) {
		if !allowed.IsSet(cpu) {
			continue
		}
		var one unix.CPUSet
		one.Set(cpu)
		if err := unix.SchedSetaffinity(0, &one); err != nil {
			return fmt.Errorf("stay on processor %d: %w", cpu, err)
		}
		return nil
	}
	return errors.New("no processor may be used")
}
