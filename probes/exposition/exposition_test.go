package exposition

import (
	"math"
	"net/http/httptest"
	"testing"
)

func TestHandler(t *testing.T) {
	handler := Handler(func(w *Writer) {
		w.Metric("things_total", Counter, "Things\nof a \"kind\\\".")
		w.Sample("things_total", 3)
		w.Sample("things_total", 0.25, Label{"name", "a\\b\"c\nd\xff"}, Label{"le", "+Inf"})
		w.Sample("things_total", math.Inf(1))
	})
	recorder := httptest.NewRecorder()
	handler.ServeHTTP(recorder, httptest.NewRequest("GET", "/metrics", nil))
	const want = `# HELP things_total Things\nof a "kind\\".` + "\n# TYPE things_total counter\nthings_total 3\n" +
		`things_total{name="a\\b\"c\nd�",le="+Inf"} 0.25` + "\nthings_total +Inf\n"
	if got := recorder.Body.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if got := recorder.Header().Get("Content-Type"); got != ContentType {
		t.Errorf("content type %q", got)
	}
}
