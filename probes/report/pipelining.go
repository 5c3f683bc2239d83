package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) pipelining(p result.Pipelining) {
	t.title("Pipelining", p.Meta)
	if meaning, known := map[result.PipeliningVerdict]string{
		result.PipeliningInOrder:    "answered in order, and sooner than one after the other",
		result.PipeliningSerial:     "answered in order, but no sooner than one after the other",
		result.PipeliningClosed:     "the connection is ended before all are answered",
		result.PipeliningOutOfOrder: "answers belong to other requests: never send requests at once to this server",
		result.PipeliningRefused:    "the later requests are refused, or never answered",
	}[p.Verdict]; known {
		t.line("  requests at once   %s", meaning)
	}
	if p.Answered != nil {
		t.line("  answered           %d of %d", p.Answered.Got, p.Answered.Of)
	}
	t.distribution("at once", p.PipelinedMicroseconds)
	t.distribution("one by one", p.SerialMicroseconds)
}
