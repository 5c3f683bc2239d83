package vantage

import (
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// two are vantages that measured nearly the same, and one between them that brought nothing.
func two(t *testing.T, change func(*result.Result)) []v1alpha1.Vantage {
	t.Helper()
	of := func(pod string, r result.Result) v1alpha1.Vantage {
		for _, name := range []string{"backlog", "push", "closing"} { // so that the rest has room
			for _, f := range result.Fields() {
				if f.Name == name {
					f.Drop(&r.Measurements)
				}
			}
		}
		r.Host.Sysctls = maps.Clone(r.Host.Sysctls)
		v, err := Of("node-"+pod, pod, r, seen)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	first, second := everything(), everything()
	first.Host.Sysctls = map[string]string{"net.ipv4.tcp_tw_reuse": "2", "net.ipv4.ip_local_reserved_ports": ""}
	second.Host.Sysctls = maps.Clone(first.Host.Sysctls)
	change(&second)
	return []v1alpha1.Vantage{of("a", first), {Time: seen, Pod: "b", Outcome: "failed", Cause: "Evicted"}, of("c", second)}
}

func bytesOf(t *testing.T, vantages []v1alpha1.Vantage) int {
	t.Helper()
	text, err := json.Marshal(vantages)
	if err != nil {
		t.Fatal(err)
	}
	return len(text)
}

func TestShortenLosesNothing(t *testing.T) {
	for name, change := range map[string]func(*result.Result){
		"the same":          func(*result.Result) {},
		"another figure":    func(r *result.Result) { r.Measurements.Handshake.ConnectMicroseconds.P99 = 80277 },
		"an unknown figure": func(r *result.Result) { r.Measurements.Handshake.SynRetransmissions = nil },
		"a failure": func(r *result.Result) {
			r.Measurements.DNS = &result.DNS{Meta: result.Meta{Outcome: result.Failed, Cause: "<refused> & reset"}}
		},
		"fewer measurements": func(r *result.Result) { r.Measurements.Reuse, r.Measurements.TimeWait = nil, nil },
		"another list":       func(r *result.Result) { r.Measurements.Identity.Via = []string{"a", "b"} },
		"another setting":    func(r *result.Result) { r.Host.Sysctls["net.ipv4.tcp_tw_reuse"] = "0" },
		"one setting more":   func(r *result.Result) { r.Host.Sysctls["net.ipv4.tcp_fin_timeout"] = "60" },
	} {
		whole := two(t, change)
		short := slices.Clone(whole)
		Shorten(short)
		if short[2].Like != "a" || short[0].Like != "" || short[1].Like != "" {
			t.Errorf("%s: like %q, %q, %q", name, short[0].Like, short[1].Like, short[2].Like)
		}
		if before, after := bytesOf(t, whole), bytesOf(t, short); after > before*2/3 {
			t.Errorf("%s: %d bytes, from %d", name, after, before)
		}
		if _, err := Result(short[2], nil); err == nil || Readable(short[2]) {
			t.Errorf("%s: what differs was taken for all there is", name)
		}
		back := Whole(short)
		for i := range whole {
			want, err := measurements(whole[i])
			if err != nil {
				t.Fatal(err)
			}
			got, err := measurements(back[i])
			if err != nil || !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %v, came back as\n%+v\nwant\n%+v", name, err, got, want)
			}
			back[i].Measurements, whole[i].Measurements = nil, nil
			if !reflect.DeepEqual(back[i], whole[i]) {
				t.Errorf("%s: came back as %+v, want %+v", name, back[i], whole[i])
			}
		}
	}
}

// What could not be told from the first vantage's is said whole.
func TestWhatCannotBeShortenedStays(t *testing.T) {
	for name, change := range map[string]func([]v1alpha1.Vantage){
		"a setting that is not known": func(v []v1alpha1.Vantage) { delete(v[2].Sysctls, "net.ipv4.tcp_tw_reuse") },
		"no settings":                 func(v []v1alpha1.Vantage) { v[2].Sysctls = nil },
		"no measurements":             func(v []v1alpha1.Vantage) { v[2].Measurements = nil },
		"no name":                     func(v []v1alpha1.Vantage) { v[0].Pod = "" },
		"the same name":               func(v []v1alpha1.Vantage) { v[2].Pod = "a" },
		"another contract":            func(v []v1alpha1.Vantage) { v[2].Version = "connpolicy.dev/probe/v9" },
		"nothing beside it":           func(v []v1alpha1.Vantage) { v[0].Outcome = "lost" },
		"no JSON":                     func(v []v1alpha1.Vantage) { v[0].Measurements = &runtime.RawExtension{Raw: []byte(`[1]`)} },
		"less than what differs":      func(v []v1alpha1.Vantage) { v[2].Measurements = &runtime.RawExtension{Raw: []byte(`{}`)} },
	} {
		vantages := two(t, func(*result.Result) {})
		change(vantages)
		before := slices.Clone(vantages)
		Shorten(vantages)
		if !reflect.DeepEqual(vantages, before) {
			t.Errorf("%s: shortened to %+v", name, vantages[2])
		}
	}
}

// One whose first is gone, or that a person wrote, is refused, not read as if what it says were all.
func TestWhatCannotBePutTogetherIsRefused(t *testing.T) {
	for name, change := range map[string]func([]v1alpha1.Vantage){
		"the first is gone":         func(v []v1alpha1.Vantage) { v[0].Pod = "z" },
		"the first is like another": func(v []v1alpha1.Vantage) { v[0].Like = "c" },
		"like itself":               func(v []v1alpha1.Vantage) { v[2].Like = "c" },
		"no patch":                  func(v []v1alpha1.Vantage) { v[2].Measurements = &runtime.RawExtension{Raw: []byte(`nothing`)} },
		"nothing to patch":          func(v []v1alpha1.Vantage) { v[0].Measurements = nil },
	} {
		vantages := two(t, func(*result.Result) {})
		Shorten(vantages)
		change(vantages)
		if back := Whole(vantages); Readable(back[2]) {
			t.Errorf("%s: was read as %+v", name, back[2])
		}
	}
}
