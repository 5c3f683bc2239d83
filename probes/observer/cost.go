package observer

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// measureCost returns the processor time that work took, of which most is the kernel's.
func measureCost(work func()) time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	before := cpu(unix.RUSAGE_THREAD)
	work()
	return cpu(unix.RUSAGE_THREAD) - before
}

// processCPU is the processor time of the whole process.
func processCPU() time.Duration { return cpu(unix.RUSAGE_SELF) }

// cpu is zero where the kernel does not tell, which it always does on Linux (getrusage(2)).
func cpu(who int) time.Duration {
	var usage unix.Rusage
	if err := unix.Getrusage(who, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
