package tuning

import "strings"

// stampOf is what the admission policy writes to the annotation connpolicy.dev/tuning of a pod that gets values.
func stampOf(tuning, revision string) string { return tuning + "." + revision }

// cutStamp takes a stamp apart. The name of a tuning may contain dots, a revision does not.
func cutStamp(stamp string) (tuning, revision string, found bool) {
	dot := strings.LastIndexByte(stamp, '.')
	if dot < 0 {
		return "", "", false
	}
	return stamp[:dot], stamp[dot+1:], true
}
