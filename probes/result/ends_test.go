package result

import (
	"encoding/json"
	"testing"
)

// The names of the manners are those of JSON, and each counts once.
func TestMannersAreThoseOfJSON(t *testing.T) {
	e := Ends{}
	for i, m := range e.Manners() {
		*m.Count = int64(1) << i
	}
	data, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	byName := map[string]int64{}
	if err := json.Unmarshal(data, &byName); err != nil {
		t.Fatal(err)
	}
	for i, m := range e.Manners() {
		if byName[m.Name] != int64(1)<<i {
			t.Errorf("%s is %d in %s", m.Name, byName[m.Name], data)
		}
	}
	if len(byName) != len(e.Manners()) {
		t.Errorf("%d manners, %d in JSON", len(e.Manners()), len(byName))
	}
	e = Ends{Orderly: 9, Unanswered: 4, Reset: 3, ResetHere: 2, Silent: 1}
	e.Add(Ends{Orderly: 10, Unanswered: 20, Reset: 30, ResetHere: 40, Silent: 50})
	if e != (Ends{Orderly: 19, Unanswered: 24, Reset: 33, ResetHere: 42, Silent: 51}) || e.Told() != 19+33+42+51 {
		t.Errorf("%+v, %d told", e, e.Told())
	}
}
