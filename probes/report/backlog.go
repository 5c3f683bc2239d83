package report

import "github.com/connpolicy/connpolicy/probes/result"

func (t *text) backlog(b result.Backlog) {
	t.title("Listen queue", b.Meta)
	if b.InUsePeak != nil && b.Cap != nil {
		t.line("  waiting            at most %d connections waited to be accepted while it looked; the limit is %d", *b.InUsePeak, *b.Cap)
	}
	if b.Cap != nil && b.Somaxconn != nil {
		who := "the application's backlog; net.core.somaxconn would allow %d"
		if *b.Cap >= *b.Somaxconn {
			who = "net.core.somaxconn (%d); the application asked for as much or more"
		}
		t.line("  limit is set by    "+who, *b.Somaxconn)
	}
	if b.Overflows != nil && b.OverflowsTotal != nil {
		t.line("  found it full      %d connections while it looked, %d since this network namespace exists", *b.Overflows, *b.OverflowsTotal)
	}
	if b.SynCookies != nil && *b.SynCookies > 0 {
		t.line("  SYN cookies        %d were sent: the queue of half-open connections was full", *b.SynCookies)
	}
}
