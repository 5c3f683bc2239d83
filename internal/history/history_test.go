package history

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

var begin = time.Date(2026, time.November, 27, 12, 0, 0, 0, time.UTC)

func at(hours int) metav1.Time { return metav1.NewTime(begin.Add(time.Duration(hours) * time.Hour)) }

// stored is a history as the API server gives it back.
func stored(t *testing.T, h *v1alpha1.History) *v1alpha1.History {
	t.Helper()
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var back *v1alpha1.History
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	return back
}

// same compares looks by what they say: a time that was stored is another pointer to the same zone.
func same(t *testing.T, got, want []Look) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d looks, want %d", len(got), len(want))
	}
	for i := range got {
		if !got[i].Time.Equal(&want[i].Time) || !reflect.DeepEqual(got[i].KeyFigures, want[i].KeyFigures) {
			t.Errorf("look %d is %+v, want %+v", i, got[i], want[i])
		}
	}
}

// Every key figure is remembered under its own name: none that the API gains is left out, none stands in another's list.
func TestEveryFigureIsRemembered(t *testing.T) {
	keys, lists := reflect.TypeFor[v1alpha1.KeyFigures](), reflect.TypeFor[v1alpha1.History]()
	if lists.NumField() != keys.NumField()+1 {
		t.Errorf("%d figures, and %d lists beside the times", keys.NumField(), lists.NumField()-1)
	}
	for i := range keys.NumField() {
		name, _, _ := strings.Cut(keys.Field(i).Tag.Get("json"), ",")
		look := Look{Time: at(0)}
		field := reflect.ValueOf(&look.KeyFigures).Elem().Field(i)
		field.Set(reflect.New(field.Type().Elem()))
		field.Elem().SetInt(int64(7 + i))
		h := Of([]Look{look, {Time: at(-1)}})
		text, err := json.Marshal(h)
		if err != nil {
			t.Fatal(err)
		}
		if want := fmt.Sprintf(`{"times":["2026-11-27T12:00:00Z","2026-11-27T11:00:00Z"],"%s":[%d,"unknown"]}`, name, 7+i); string(text) != want {
			t.Errorf("%s, want %s", text, want)
		}
		same(t, Looks(stored(t, h)), []Look{look, {Time: at(-1)}})
	}
}

func TestUnknownIsNotZero(t *testing.T) {
	looks := []Look{
		{Time: at(3), KeyFigures: v1alpha1.KeyFigures{StallMicroseconds: new(int64(0)), PortUtilizationPercent: new(int32(40))}},
		{Time: at(2)},
		{Time: at(1), KeyFigures: v1alpha1.KeyFigures{PortUtilizationPercent: new(int32(0))}},
	}
	same(t, Looks(stored(t, Of(looks))), looks)
	if Of(nil) != nil || len(Looks(nil)) != 0 {
		t.Error("there is a history of no looks")
	}
}

// A figure that is too large for its list is the largest, not another one.
func TestFiguresAreBounded(t *testing.T) {
	got := Looks(Of([]Look{{Time: at(0), KeyFigures: v1alpha1.KeyFigures{StallMicroseconds: new(int64(math.MaxInt64))}}}))
	if *got[0].StallMicroseconds != math.MaxInt32 {
		t.Errorf("%d", *got[0].StallMicroseconds)
	}
}

// Lists that are too short, too long or of other words say no more than they do.
func FuzzLooks(f *testing.F) {
	for _, seed := range []string{
		`{"times":["2026-11-27T12:00:00Z","2026-11-27T11:00:00Z"],"portUtilizationPercent":[48,"unknown"],"stallMicroseconds":[0,41000]}`,
		`{"times":["2026-11-27T12:00:00Z"],"setupSharePercent":[1,2,3],"requestsAtLeast":[],"idleCutSeconds":["900"]}`,
		`{"times":[null],"connectionsPerSecond":[null]}`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var h v1alpha1.History
		if json.Unmarshal(text, &h) != nil {
			t.Skip()
		}
		looks := Looks(&h)
		if len(looks) != len(h.Times) {
			t.Fatalf("%d looks at %d times", len(looks), len(h.Times))
		}
		same(t, Looks(Of(looks)), looks)
	})
}
