package report

import (
	"encoding/json"
	"fmt"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/manifest"
)

// Add takes the documents of connpolicy's kinds into the objects, and says how many those were. Others are left out: a file
// may hold a workload beside its policy.
func (o *Objects) Add(documents []manifest.Document) (taken int, err error) {
	for _, d := range documents {
		if d.Object.GroupVersionKind().GroupVersion() != v1alpha1.GroupVersion {
			continue
		}
		switch d.Object.GetKind() {
		case "ConnectionPolicy":
			o.Policies, err = added(o.Policies, d)
		case "ConnectionReport":
			o.Reports, err = added(o.Reports, d)
		case "ConnectionTuning":
			o.Tunings, err = added(o.Tunings, d)
		default:
			continue
		}
		if err != nil {
			return taken, err
		}
		taken++
	}
	return taken, nil
}

func added[T any](list []T, d manifest.Document) ([]T, error) {
	var object T
	if err := json.Unmarshal(d.JSON, &object); err != nil {
		return list, fmt.Errorf("%s: read the %s: %w", d.Place(), d.Object.GetKind(), err)
	}
	return append(list, object), nil
}
