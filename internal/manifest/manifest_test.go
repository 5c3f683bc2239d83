package manifest_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/connpolicy/connpolicy/internal/manifest"
)

func TestRead(t *testing.T) {
	const pod = "apiVersion: v1\nkind: Pod\nmetadata: {name: "
	documents, faults := manifest.Read("f.yaml", strings.NewReader("# a comment alone\n---\n"+pod+"a}\n---\n---\n"+pod+"b}\n---\nnot: an object\n---\n"+
		pod+"c, name: d}\n---\napiVersion: v1\nkind: List\nitems:\n- {apiVersion: v1, kind: Pod, metadata: {name: e}}\n- {apiVersion: v1, kind: Pod, metadata: {name: f}}\n"))
	var places []string
	for _, d := range documents {
		places = append(places, d.Object.GetName()+" at "+d.Place())
	}
	if got := strings.Join(places, "; "); got != "a at f.yaml:1; b at f.yaml:3; e at f.yaml:6, item 1; f at f.yaml:6, item 2" {
		t.Errorf("documents %s", got)
	}
	if len(faults) != 2 || !strings.HasPrefix(faults[0].Error(), "f.yaml:4: no Kubernetes object") || !strings.Contains(faults[1].Error(), `f.yaml:5: `) ||
		!strings.Contains(faults[1].Error(), `"name" already set`) {
		t.Errorf("faults %v", faults)
	}
}

func TestReadJSON(t *testing.T) {
	documents, faults := manifest.Read("-", strings.NewReader(`{"apiVersion":"v1","kind":"List","items":[{"apiVersion":"v1","kind":"Pod","metadata":{"name":"a"}}]}`))
	if len(faults) != 0 || len(documents) != 1 || documents[0].Object.GetName() != "a" || documents[0].Place() != "-:1" {
		t.Errorf("%v, %v", documents, faults)
	}
}

// Whatever stands in a file, each document is an object or a fault.
func FuzzRead(f *testing.F) {
	seeds, err := filepath.Glob("../report/testdata/*.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, seed := range seeds {
		text, err := os.ReadFile(seed)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		documents, faults := manifest.Read("f", bytes.NewReader(text))
		for _, d := range documents {
			if d.Object == nil || d.Object.GetKind() == "" || len(d.JSON) == 0 || d.Number < 1 {
				t.Errorf("document %+v", d)
			}
		}
		for _, fault := range faults {
			if !strings.HasPrefix(fault.Error(), "f:") {
				t.Errorf("fault without a place: %v", fault)
			}
		}
	})
}
