package vantage

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

var seen = metav1.NewTime(time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC))

// everything is a result in which every field of the contract has a value, so that one that is lost on the way is missed.
func everything() result.Result {
	var r result.Result
	fill(reflect.ValueOf(&r).Elem(), 0)
	r.Version, r.Statuses, r.ElapsedSeconds = result.Version, map[string]int{"200": 541, "503": 2}, 0
	return r
}

// fill sets value, and all in it, to something.
func fill(value reflect.Value, depth int) {
	switch value.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(value.Type().Elem()))
		fill(value.Elem(), depth+1)
	case reflect.Struct:
		for i := range value.NumField() {
			fill(value.Field(i), depth+1)
		}
	case reflect.Slice:
		value.Set(reflect.MakeSlice(value.Type(), 1, 1))
		fill(value.Index(0), depth+1)
	case reflect.Map:
		value.Set(reflect.MakeMap(value.Type()))
		key, element := reflect.New(value.Type().Key()).Elem(), reflect.New(value.Type().Elem()).Elem()
		fill(key, depth+1)
		fill(element, depth+1)
		value.SetMapIndex(key, element)
	case reflect.String:
		value.SetString(fmt.Sprintf("s%d", depth))
	case reflect.Bool:
		value.SetBool(true)
	case reflect.Int, reflect.Int64:
		value.SetInt(int64(depth))
	case reflect.Float64:
		value.SetFloat(float64(depth) + 0.25)
	default:
		panic(value.Kind().String())
	}
}

// The rules judge what the report says, so that a restart changes no verdict: nothing that they need may be lost in it. All
// at once have no room, so each measurement goes the way by itself.
func TestAReportKeepsTheResult(t *testing.T) {
	for _, kept := range result.Fields() {
		want := everything()
		for _, other := range result.Fields() {
			if other.Name != kept.Name {
				other.Drop(&want.Measurements)
			}
		}
		v, err := Of("n1", "pod", want, seen)
		if err != nil {
			t.Fatal(err)
		}
		if v.Node != "n1" || v.Pod != "pod" || v.Outcome != "measured" || !v.Time.Equal(&seen) {
			t.Errorf("%+v", v)
		}
		// As the API server stores it and gives it back.
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		var stored v1alpha1.Vantage
		if err := json.Unmarshal(text, &stored); err != nil {
			t.Fatal(err)
		}
		target := &v1alpha1.ReportTarget{URL: want.Target.URL, Protocol: v1alpha1.Protocol(want.Target.Protocol)}
		got, err := Result(stored, target)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: came back as\n%+v\nwant\n%+v", kept.Name, got, want)
		}
	}
}

func TestUnknownStaysUnknown(t *testing.T) {
	unknown := result.Result{Version: result.Version, Measurements: result.Measurements{
		Handshake: &result.Handshake{Meta: result.Meta{Outcome: result.Failed, Cause: "refused"}},
	}}
	v, err := Of("", "", unknown, seen)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Result(v, nil)
	if h := got.Measurements.Handshake; err != nil || h.ConnectMicroseconds != nil || h.SynRetransmissions != nil || h.Outcome != result.Failed {
		t.Errorf("%v, figures that nobody measured: %+v", err, h)
	}
	if got.Measurements.Reuse != nil || got.Statuses != nil || got.Host.Sysctls != nil {
		t.Errorf("more than was found: %+v", got)
	}
}

func TestWhatNobodyUnderstandsIsAnError(t *testing.T) {
	good, err := Of("", "pod", everything(), seen)
	if err != nil || !Readable(good) {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*v1alpha1.Vantage){
		"another version":             func(v *v1alpha1.Vantage) { v.Version = "connpolicy.dev/probe/v9" },
		"of before there was version": func(v *v1alpha1.Vantage) { v.Version = "" },
		"another shape": func(v *v1alpha1.Vantage) {
			v.Measurements = &runtime.RawExtension{Raw: []byte(`{"handshake":[1]}`)}
		},
	} {
		bad := *good.DeepCopy()
		change(&bad)
		if _, err := Result(bad, nil); err == nil || Readable(bad) {
			t.Errorf("%s: was read", name)
		}
	}
}

// A pod may say anything. What it says keeps to the bounds of the API, and what there was no room for is named.
func TestAVantageIsBounded(t *testing.T) {
	long := strings.Repeat("<", 5000)
	r := everything()
	r.Host.Kernel, r.Target.Address, r.Target.Addresses = long, long, slices.Repeat([]string{long}, 99)
	r.Dropped = slices.Repeat([]string{long, "dns"}, 99)
	r.Measurements.Backlog.Cause = long
	r.Measurements.DNS.Cause = long[:2500]
	r.Host.Sysctls = map[string]string{"net.ipv4.ip_local_reserved_ports": long}
	r.Statuses = map[string]int{"ok": 7, "200": 1, "0200": 1}
	for code := range 300 {
		r.Statuses[fmt.Sprint(300+code)] = code
	}
	v, err := Of("n1", "pod", r, seen)
	if err != nil {
		t.Fatal(err)
	}
	if len(v.Kernel) > 128 || len(v.Address) > 64 || len(v.Addresses) > 16 || len(v.Addresses[0]) > 64 || len(v.Dropped) > 24 || len(v.Dropped[0]) > 32 {
		t.Errorf("%+v", v)
	}
	if len(v.Statuses) != 16 || v.Statuses[0].Code != 584 || v.Statuses[15].Code != 599 {
		t.Errorf("the most frequent statuses are %v", v.Statuses)
	}
	if v.Sysctls != nil || !slices.Contains(v.Dropped, "sysctls") {
		t.Errorf("sysctls %v, dropped %v", v.Sysctls, v.Dropped)
	}
	if got := len(v.Measurements.Raw); got > MaximumBytes || got < 1500 {
		t.Errorf("%d bytes of measurements", got)
	}
	back, err := Result(v, nil)
	if err != nil || back.Measurements.Backlog != nil || back.Measurements.Handshake == nil || !slices.Contains(v.Dropped, "backlog") {
		t.Errorf("%v: dropped %v", err, v.Dropped)
	}
}

func TestDropMeasurement(t *testing.T) {
	v, err := Of("n1", "pod", everything(), seen)
	if err != nil {
		t.Fatal(err)
	}
	first := v.Dropped[1] // after what the probe itself had no room for
	for len(v.Measurements.Raw) > len("{}") {
		before := len(v.Measurements.Raw)
		if !DropMeasurement(&v) || len(v.Measurements.Raw) >= before || !Readable(v) {
			t.Fatalf("after %v: %s", v.Dropped, v.Measurements.Raw)
		}
	}
	last := v.Dropped[len(v.Dropped)-1]
	if first != "backlog" || last != "handshake" || len(v.Dropped) != 1+len(result.Fields()) {
		t.Errorf("dropped in the order %v", v.Dropped)
	}
	for DropMeasurement(&v) {
	}
	if v.Measurements != nil {
		t.Errorf("left is %s", v.Measurements.Raw)
	}
}
