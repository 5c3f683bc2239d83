package tuning

import "strings"

// stampOf is what the admission policy writes to the annotation connpolicy.dev/tuning of a pod that gets values.
func stampOf(tuning, revision string) string { return tuning + "." + revision }

// stampedBy returns the tuning that a stamp names. The name of a tuning may contain dots, a revision does not.
func stampedBy(stamp string) (tuning string, found bool) {
	dot := strings.LastIndexByte(stamp, '.')
	if dot < 0 {
		return "", false
	}
	return stamp[:dot], true
}
