package vantage

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
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

// Two vantages of a report, whatever they hold, are shortened to what says the same; what a report holds as shortened is
// read or refused.
func FuzzLike(f *testing.F) {
	captured, err := os.ReadFile("testdata/http.json")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(captured, bytes.Replace(captured, []byte(`"samples":`), []byte(`"samples":1`), 1))
	f.Add(captured, []byte(`{"reuse":null,"handshake":{"p99":1}}`))
	f.Add([]byte(`{"identity":{"outcome":"measured","via":["a"]}}`), []byte(`{"identity":{"via":["a","b"]},"dns":{"queries":9007199254740993}}`))
	f.Add([]byte(`[]`), []byte(`{}`))
	f.Fuzz(func(t *testing.T, first, second []byte) {
		of := func(pod, like string, raw []byte) v1alpha1.Vantage {
			return v1alpha1.Vantage{Pod: pod, Like: like, Outcome: string(result.Measured), Version: result.Version, Measurements: &runtime.RawExtension{Raw: raw}}
		}
		Whole([]v1alpha1.Vantage{of("a", "", first), of("b", "a", second)})
		var vantages []v1alpha1.Vantage
		for _, v := range []v1alpha1.Vantage{of("a", "", first), of("b", "", second)} {
			r, err := Result(v, nil)
			if err != nil {
				return
			}
			if v, err = Of("node", v.Pod, r, seen); err != nil { // as an operator writes it
				t.Fatal(err)
			}
			vantages = append(vantages, v)
		}
		whole := slices.Clone(vantages)
		Shorten(vantages)
		for i, v := range Whole(vantages) {
			got, err := Result(v, nil)
			if err != nil {
				t.Fatal(err)
			}
			want, err := Result(whole[i], nil)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := marshal(t, got), marshal(t, want); !bytes.Equal(got, want) {
				t.Errorf("%s became %s", want, got)
			}
		}
	})
}
