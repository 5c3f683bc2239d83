package main

import (
	"fmt"
	"os"
	"strings"
)

// mount is one line of /proc/thread-self/mountinfo (proc_pid_mountinfo(5)).
type mount struct {
	target       string
	fsType       string
	superOptions string
}

// readMounts returns the mounts that the calling thread sees; another thread may be in another namespace.
func readMounts() ([]mount, error) {
	content, err := os.ReadFile("/proc/thread-self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("list mounts: %w", err)
	}
	return parseMountInfo(string(content))
}

func parseMountInfo(content string) ([]mount, error) {
	// Blanks and backslashes in a path are written in octal.
	unescape := strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`)
	var mounts []mount
	for line := range strings.Lines(content) {
		before, after, found := strings.Cut(strings.TrimSpace(line), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !found || len(left) < 6 || len(right) < 3 {
			return nil, fmt.Errorf("a line of mountinfo has an unknown form: %q", line)
		}
		mounts = append(mounts, mount{target: unescape.Replace(left[4]), fsType: right[0], superOptions: right[2]})
	}
	return mounts, nil
}

// mountsBelow returns the targets that lie below the directory, those mounted last first, which is the order in
// which they can be unmounted.
func mountsBelow(mounts []mount, dir string) []string {
	var targets []string
	for i := len(mounts) - 1; i >= 0; i-- {
		if strings.HasPrefix(mounts[i].target, dir+"/") {
			targets = append(targets, mounts[i].target)
		}
	}
	return targets
}
