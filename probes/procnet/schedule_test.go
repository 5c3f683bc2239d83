package procnet

import (
	"runtime"
	"testing"
	"time"
)

func TestParseSchedstat(t *testing.T) {
	if got, err := parseSchedstat("3071420 1084283 37\n"); err != nil || got != 1084283*time.Nanosecond {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "1 2", "1 x 3", "1 -2 3", "1 99999999999999999999 3", "1 2 3 4"} {
		if got, err := parseSchedstat(text); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func FuzzParseSchedstat(f *testing.F) {
	f.Add("3071420 1084283 37\n")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := parseSchedstat(text); got < 0 || err != nil && got != 0 {
			t.Errorf("%v, %v", got, err)
		}
	})
}

func TestRunDelayGrows(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	proc := New("/proc")
	before, err := proc.RunDelay()
	if err != nil {
		t.Skip("this kernel does not tell:", err)
	}
	time.Sleep(time.Millisecond)
	if after, err := proc.RunDelay(); err != nil || after < before {
		t.Errorf("%v, then %v, %v", before, after, err)
	}
	if _, err := New(t.TempDir()).RunDelay(); err == nil {
		t.Error("a file that is not there tells nothing")
	}
}
