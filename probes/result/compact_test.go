package result

import (
	"encoding/json"
	"testing"
)

func TestMessagesKeepFourDigits(t *testing.T) {
	for in, want := range map[float64]float64{
		0: 0, 1: 1, 123456789: 123456789, 1234.5678: 1235, 0.00012345678: 0.0001235, -61.54321: -61.54, 99999.9: 100000,
		29.98: 29.98, 1e21: 1e21,
	} {
		r := full()
		r.ElapsedSeconds = in
		text, err := compact(r)
		if err != nil {
			t.Fatal(err)
		}
		var got Result
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		if got.ElapsedSeconds != want {
			t.Errorf("%v is kept as %v, want %v", in, got.ElapsedSeconds, want)
		}
		if got.Measurements.TimeWait.Ports == nil || *got.Measurements.TimeWait.Ports != 28232 || got.Spent != r.Spent {
			t.Errorf("whole numbers changed: %s", text)
		}
	}
}
