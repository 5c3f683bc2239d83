package report

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/probes/result"
)

// everything is a report with all measurements and all their figures, from two nodes. Each figure is a different one.
func everything(t testing.TB) Objects {
	t.Helper()
	var m result.Measurements
	next := 0
	fill(reflect.ValueOf(&m).Elem(), &next)
	for _, f := range result.Fields() {
		meta := f.Meta(&m)
		meta.Outcome, meta.Cause = result.Measured, ""
	}
	m.Idle.KeepaliveLadder = &result.Ladder{Rungs: []result.Rung{{Seconds: 200, Alive: 4}, {Seconds: 230, Alive: 4}, {Seconds: 242, Alive: 1, BlackHole: 3}, {Seconds: 300, BlackHole: 4}}}
	m.Idle.RequestLadder = &result.Ladder{Rungs: []result.Rung{{Seconds: 230, Alive: 4}, {Seconds: 242, Unknown: 2}}}
	m.Idle.AfterSecondsAtLeast, m.Idle.AfterSecondsAtMost, m.Idle.How = new(230.0), new(242.0), result.CutBlackHole
	text, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	report := v1alpha1.ConnectionReport{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ConnectionReport"},
		ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: "b-c"},
		Spec:       v1alpha1.ConnectionReportSpec{PolicyName: "b", LinkName: "c"},
	}
	for _, node := range []string{"node-1", "node-2"} {
		report.Status.Vantages = append(report.Status.Vantages, v1alpha1.Vantage{Time: metav1.NewTime(now().Add(-time.Hour)), Node: node,
			Outcome: string(result.Measured), Version: result.Version, Measurements: &runtime.RawExtension{Raw: text}})
	}
	drain := v1alpha1.Drain{StartTime: metav1.NewTime(now().Add(-2 * time.Hour)), EndTime: metav1.NewTime(now().Add(-time.Hour)), Endpoints: 3, Pods: 2}
	fill(reflect.ValueOf(&drain.During).Elem(), &next)
	fill(reflect.ValueOf(&drain.Before).Elem(), &next)
	headless := *drain.DeepCopy()
	headless.Before, headless.During.Ends = nil, nil
	report.Status.Drains = []v1alpha1.Drain{drain, headless}
	return Objects{Reports: []v1alpha1.ConnectionReport{report}}
}

// fill sets every field of a value: numbers to the next one, so that distributions ascend.
func fill(v reflect.Value, next *int) {
	*next++
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), next)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(v.Field(i), next)
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		fill(v.Index(0), next)
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		value := reflect.New(v.Type().Elem()).Elem()
		fill(value, next)
		v.SetMapIndex(reflect.ValueOf("clientFirst").Convert(v.Type().Key()), value)
	case reflect.Bool:
		v.SetBool(true)
	case reflect.String:
		v.SetString("word")
	case reflect.Float64:
		v.SetFloat(float64(*next))
	case reflect.Int, reflect.Int32, reflect.Int64:
		v.SetInt(int64(*next))
	default:
		panic(v.Kind())
	}
}

// pagesNamed are those of a file of testdata, of everything that can be measured, or of all of them, with what rules say.
func pagesNamed(t testing.TB, name string, rules []audit.Rule) []Page {
	t.Helper()
	if name == "together" {
		var pages []Page
		for _, each := range append(names(), "everything") {
			pages = append(pages, pagesNamed(t, each, rules)...)
		}
		return pages
	}
	if _, err := os.Stat(filepath.Join("testdata", name+".yaml")); err != nil {
		return pagesOf(everything(t), rules)
	}
	return pagesOf(saved(t, name+".yaml"), rules)
}

// A measurement that the contract gains is told to people too.
func TestEveryMeasurementIsTold(t *testing.T) {
	titles := map[string]bool{}
	for _, s := range pagesOf(everything(t), rules())[0].Links[0].Sections {
		titles[s.Title] = true
	}
	told := map[string]string{}
	for _, m := range known() {
		told[m.name] = m.title
	}
	for _, f := range result.Fields() {
		switch title, known := told[f.Name]; {
		case !known:
			t.Errorf("nothing is told about %s", f.Name)
		case !titles[title]:
			t.Errorf("%s was measured and has no section %q", f.Name, title)
		}
	}
}
