package vantage

import (
	"maps"
	"reflect"
	"slices"

	jsonpatch "github.com/evanphx/json-patch/v5"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Shorten has every vantage that measured anything say only what differs from the first of them, where that takes less
// room. It changes the vantages, which are whole, and loses nothing: see Whole.
func Shorten(vantages []v1alpha1.Vantage) {
	first := slices.IndexFunc(vantages, func(v v1alpha1.Vantage) bool { return v.Outcome == string(result.Measured) })
	if first < 0 {
		return
	}
	for i := range vantages[first+1:] {
		v := &vantages[first+1+i]
		shorter, ok := except(*v, vantages[first])
		if ok && len(shorter.Measurements.Raw) < len(v.Measurements.Raw) && isLike(shorter, vantages[first], *v) {
			*v = shorter
		}
	}
}

// Whole returns vantages as they were before they were shortened. One that cannot be put together again stays as it is, and
// Result refuses it.
func Whole(vantages []v1alpha1.Vantage) []v1alpha1.Vantage {
	whole := slices.Clone(vantages)
	for i, v := range vantages {
		if v.Like == "" {
			continue
		}
		at := slices.IndexFunc(vantages, func(other v1alpha1.Vantage) bool { return other.Pod == v.Like && other.Like == "" })
		if at < 0 || vantages[at].Measurements == nil || v.Measurements == nil {
			continue
		}
		merged, err := jsonpatch.MergePatch(vantages[at].Measurements.Raw, v.Measurements.Raw)
		if err != nil {
			continue
		}
		v.Like, v.Measurements = "", &runtime.RawExtension{Raw: merged}
		if all := maps.Clone(vantages[at].Sysctls); all != nil {
			maps.Copy(all, v.Sysctls)
			v.Sysctls = all
		}
		whole[i] = v
	}
	return whole
}

// isLike says whether shorter, beside first, says what v says: a patch holds numbers as 64 bits of floating point.
func isLike(shorter, first, v v1alpha1.Vantage) bool {
	want, err := measurements(v)
	if err != nil {
		return false
	}
	got, err := measurements(Whole([]v1alpha1.Vantage{first, shorter})[1])
	return err == nil && reflect.DeepEqual(got, want)
}

// except is v with only what differs from first. It is not ok where that cannot be said: a setting that v lacks would be
// taken for the first one's.
func except(v, first v1alpha1.Vantage) (shorter v1alpha1.Vantage, ok bool) {
	if v.Outcome != string(result.Measured) || first.Pod == "" || first.Pod == v.Pod || v.Version != first.Version ||
		v.Measurements == nil || first.Measurements == nil {
		return v, false
	}
	for name := range first.Sysctls {
		if _, known := v.Sysctls[name]; !known {
			return v, false
		}
	}
	patch, err := jsonpatch.CreateMergePatch(first.Measurements.Raw, v.Measurements.Raw)
	if err != nil {
		return v, false
	}
	v.Like, v.Measurements = first.Pod, &runtime.RawExtension{Raw: patch}
	v.Sysctls = maps.Clone(v.Sysctls)
	maps.DeleteFunc(v.Sysctls, func(name, value string) bool {
		same, known := first.Sysctls[name]
		return known && same == value
	})
	return v, true
}
