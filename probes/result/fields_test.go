package result

import (
	"reflect"
	"strings"
	"testing"
)

// A measurement that Fields forgets would never be dropped, never concluded and never counted as failed.
func TestEveryMeasurementIsAField(t *testing.T) {
	fields := Fields()
	kinds := reflect.TypeFor[Measurements]()
	if len(fields) != kinds.NumField() {
		t.Errorf("%d fields for %d measurements", len(fields), kinds.NumField())
	}
	named := map[string]Field{}
	for _, f := range fields {
		named[f.Name] = f
	}
	for i := range kinds.NumField() {
		name, _, _ := strings.Cut(kinds.Field(i).Tag.Get("json"), ",")
		f, found := named[name]
		if !found {
			t.Errorf("%s is no field", name)
			continue
		}
		var m Measurements
		if f.Meta(&m) != nil || f.Drop(&m) {
			t.Errorf("%s is there although nothing was measured", name)
		}
		f.Conclude(&m, Meta{Outcome: Skipped, Cause: "no turn"})
		if reflect.ValueOf(m).Field(i).IsNil() {
			t.Errorf("%s concludes another measurement", name)
			continue
		}
		if meta := f.Meta(&m); meta == nil || meta.Outcome != Skipped || meta.Cause != "no turn" {
			t.Errorf("%s: concluded as %+v", name, meta)
		}
		if !f.Drop(&m) || !reflect.DeepEqual(m, Measurements{}) {
			t.Errorf("%s was not dropped: %+v", name, m)
		}
	}
}
