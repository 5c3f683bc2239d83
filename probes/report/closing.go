package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) closing(c result.Closing) {
	t.title("Closing", c.Meta)
	t.answer(c.HalfClose, "half-closed", "a request is answered although the client has closed its sending side",
		"a client that closes its sending side behind a request gets no answer")
	t.answer(c.UnreadDataLost, "response lost", "the server's close destroyed a response because a further request was unread",
		"a response arrives whole although a further request is unread when the server closes")
	t.answer(c.Truncated, "cut short", "a response ended before the length that it had announced", "every response was as long as it had announced")
	if c.LingerSeconds != nil {
		t.line("  lingers            the server read on for %.1f s after it had closed its side", *c.LingerSeconds)
	}
}

// answer tells one of two sentences, or nothing if it is not known which holds.
func (t *text) answer(holds *bool, name, yes, no string) {
	if holds == nil {
		return
	}
	sentence := no
	if *holds {
		sentence = yes
	}
	t.line("  %-18s %s", name, sentence)
}
