package vantage

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

// A report may come from a file. Whatever it holds is read or refused, and what is read goes the same way again.
func FuzzResult(f *testing.F) {
	// What a probe measured of a Go server on the same machine, Linux 6.18.
	captured, err := os.ReadFile("testdata/http.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(captured)
	f.Add([]byte(`{}`))
	f.Add([]byte(`null`))
	f.Add([]byte(`{"timeWait":{"outcome":"measured","samples":6,"scenarios":{}},"idle":{"keepaliveLadder":{"rungs":null}}}`))
	f.Add([]byte(`{"handshake":{"outcome":"failed","cause":"<\u2028\ud800"}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Result(v1alpha1.Vantage{Version: result.Version, Measurements: &runtime.RawExtension{Raw: raw}}, nil)
		if err != nil {
			return
		}
		v, err := Of("node", "pod", r, seen)
		if err != nil {
			t.Fatal(err)
		}
		if v.Measurements != nil && len(v.Measurements.Raw) > MaximumBytes {
			t.Fatalf("%d bytes", len(v.Measurements.Raw))
		}
		again, err := Result(v, nil)
		if err != nil {
			t.Fatal(err)
		}
		if first, second := marshal(t, r), marshal(t, again); len(v.Dropped) == 0 && !bytes.Equal(first, second) {
			t.Errorf("%s became %s", first, second)
		}
		if silence := (Silence{Idle: r.Measurements.Idle}); silence.Put(&v) != nil || !Readable(v) || ForgetSilence(&v) != nil {
			t.Errorf("silence cannot be put into %s", raw)
		}
		for DropMeasurement(&v) {
		}
		if v.Measurements != nil {
			t.Errorf("left is %s", v.Measurements.Raw)
		}
	})
}

func marshal(t *testing.T, r result.Result) []byte {
	t.Helper()
	text, err := json.Marshal(r.Measurements)
	if err != nil {
		t.Fatal(err)
	}
	return text
}
