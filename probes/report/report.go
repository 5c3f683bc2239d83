// Package report writes a result as text for people.
package report

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Write renders r. The error is that of the writer.
func Write(w io.Writer, r result.Result) error {
	var t text
	t.line("Target       %s (%s)", r.Target.URL, r.Target.Protocol)
	if r.Target.Address != "" {
		t.line("Address      %s", r.Target.Address)
	}
	if len(r.Target.Addresses) > 0 {
		t.line("Of           %s", strings.Join(r.Target.Addresses, ", "))
	}
	t.line("Spent        %d connections, %d requests, %s sent, %s received, in %.1f s",
		r.Spent.Connections, r.Spent.Requests, size(r.Spent.BytesSent), size(r.Spent.BytesReceived), r.ElapsedSeconds)
	if len(r.Statuses) > 0 {
		t.line("Answers      %s", statuses(r.Statuses))
	}
	t.line("Kernel       %s", r.Host.Kernel)
	t.line("\nIn short")
	for _, sentence := range inShort(r) {
		t.line("  - %s", sentence)
	}
	if d := r.Measurements.DNS; d != nil {
		t.dns(*d)
	}
	if h := r.Measurements.Handshake; h != nil {
		t.handshake(*h)
	}
	if reuse := r.Measurements.Reuse; reuse != nil {
		t.reuse(*reuse)
	}
	if tw := r.Measurements.TimeWait; tw != nil {
		t.timeWait(*tw)
	}
	if idle := r.Measurements.Idle; idle != nil {
		t.idle(*idle, r.Target.Protocol)
	}
	if w := r.Measurements.WebSocket; w != nil {
		t.webSocket(*w)
	}
	if p := r.Measurements.Push; p != nil {
		t.push(*p)
	}
	if h := r.Measurements.HTTP2; h != nil {
		t.http2(*h)
	}
	if i := r.Measurements.Identity; i != nil {
		t.identity(*i)
	}
	if p := r.Measurements.Pipelining; p != nil {
		t.pipelining(*p)
	}
	if p := r.Measurements.Parallel; p != nil {
		t.parallel(*p)
	}
	if p := r.Measurements.PathMTU; p != nil {
		t.pathMTU(*p)
	}
	if c := r.Measurements.Closing; c != nil {
		t.closing(*c)
	}
	if backlog := r.Measurements.Backlog; backlog != nil {
		t.backlog(*backlog)
	}
	if slowStart := r.Measurements.SlowStart; slowStart != nil {
		t.slowStart(*slowStart)
	}
	if smallWrites := r.Measurements.SmallWrites; smallWrites != nil {
		t.smallWrites(*smallWrites)
	}
	if len(r.Host.Sysctls) > 0 {
		t.line("\nSettings in force here")
		for _, name := range slices.Sorted(maps.Keys(r.Host.Sysctls)) {
			value := r.Host.Sysctls[name]
			if value == "" {
				value = "(empty)"
			}
			t.line("  %-36s %s", name, value)
		}
	}
	_, err := io.WriteString(w, t.String())
	return err
}

// statuses lists how often each status came.
func statuses(counts map[string]int) string {
	var parts []string
	for _, status := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%d with status %s", counts[status], status))
	}
	return strings.Join(parts, ", ")
}

type text struct{ strings.Builder }

func (t *text) line(format string, values ...any) { fmt.Fprintf(t, format+"\n", values...) }

// title begins a measurement and says what became of it.
func (t *text) title(name string, meta result.Meta) {
	errors := ""
	if meta.Errors > 0 {
		errors = fmt.Sprintf(", %s failed", plural(meta.Errors, "attempt"))
	}
	t.line("\n%s: %s (%d samples in %.1f s%s)", name, meta.Outcome, meta.Samples, meta.ElapsedSeconds, errors)
	if meta.Cause != "" {
		t.line("  because            %s", meta.Cause)
	}
}

// plural is a number of things.
func plural(count int, one string) string {
	if count == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %ss", count, one)
}

func (t *text) distribution(name string, d *result.Distribution) {
	if d == nil {
		return
	}
	bound := ""
	if d.P50Low != nil && d.P50High != nil {
		bound = fmt.Sprintf(" (95 %% sure: %.0f to %.0f)", *d.P50Low, *d.P50High)
	}
	t.line("  %-18s median %.0f µs%s; p90 %.0f, p99 %.0f, least %.0f, most %.0f", name, d.P50, bound, d.P90, d.P99, d.Min, d.Max)
	t.histogram(d)
}

func (t *text) handshake(h result.Handshake) {
	t.title("Handshake", h.Meta)
	t.distribution("connect", h.ConnectMicroseconds)
	t.distribution("kernel's RTT", h.KernelRTTMicroseconds)
	if h.SynRetransmissions != nil {
		t.line("  SYNs sent again    %d", *h.SynRetransmissions)
	}
	if h.SetupSharePercent != nil {
		t.line("  set-up share       %.0f %% of a request on a new connection goes into opening it (median)", *h.SetupSharePercent)
	}
	if h.TLS != nil {
		t.tls(*h.TLS)
	}
}

func (t *text) reuse(r result.Reuse) {
	t.title("Reuse", r.Meta)
	if r.Missing != "" {
		t.line("  not found out      %s", r.Missing)
	}
	switch {
	case r.Kept == nil:
	case *r.Kept:
		t.line("  kept               yes, the server answers further requests on a connection")
	default:
		t.line("  kept               no, each request needs a new connection")
	}
	switch {
	case r.RequestsPerConnection != nil:
		t.line("  requests           %d on a connection, then the server ended it: %s", *r.RequestsPerConnection, closing(r.CloseCause))
	case r.RequestsAtLeast != nil && r.Missing == "":
		t.line("  requests           at least %d on a connection; the server did not end it", *r.RequestsAtLeast)
	case r.RequestsAtLeast != nil:
		t.line("  requests           at least %d on a connection", *r.RequestsAtLeast)
	}
	if k := r.KeepAliveHeader; k != nil {
		t.line("  Keep-Alive says    %s", promise(*k))
	}
	t.distribution("new connection", r.NewMicroseconds)
	t.distribution("reused connection", r.ReusedMicroseconds)
}

func closing(cause result.CloseCause) string {
	switch cause {
	case result.CloseAnnounced:
		return "announced by `Connection: close`"
	case result.CloseUnannounced:
		return "without announcing it"
	case result.CloseHTTP10:
		return "it speaks HTTP/1.0 without keep-alive"
	case result.CloseDelimited:
		return "the response has no length, so that only the end of the connection ends it"
	case result.CloseReset:
		return "by a reset"
	default:
		return string(cause)
	}
}

func promise(k result.KeepAliveHeader) string {
	var parts []string
	if k.TimeoutSeconds != nil {
		parts = append(parts, fmt.Sprintf("%d s idle", *k.TimeoutSeconds))
	}
	if k.Max != nil {
		parts = append(parts, fmt.Sprintf("at most %d more requests", *k.Max))
	}
	if len(parts) == 0 {
		return "nothing that could be read"
	}
	return strings.Join(parts, ", ")
}

func (t *text) timeWait(w result.TimeWait) {
	t.title("TIME_WAIT", w.Meta)
	for _, scenario := range slices.Sorted(maps.Keys(w.Scenarios)) {
		t.line("  %-18s held by: %s", scenario, w.Scenarios[scenario])
	}
	if w.Holder != "" {
		t.line("  of its own accord  held by: %s, which closes first after a plain request", w.Holder)
	}
	if w.Seconds != nil {
		t.line("  lasts              %.0f s", *w.Seconds)
	}
	if w.Ports != nil {
		t.line("  local ports        %d for one destination", *w.Ports)
	}
	if w.ConnectionsPerSecondCeiling != nil && w.ConnectionsPerSecondSmooth != nil {
		t.line("  ceiling            %.0f new connections/s to one destination if this end closes first; connect slows down above %.0f/s",
			*w.ConnectionsPerSecondCeiling, *w.ConnectionsPerSecondSmooth)
	}
}

func size(bytes int64) string {
	const kibi = 1024
	switch {
	case bytes < 10*kibi:
		return fmt.Sprintf("%d B", bytes)
	case bytes < 10*kibi*kibi:
		return fmt.Sprintf("%d KiB", bytes/kibi)
	default:
		return fmt.Sprintf("%d MiB", bytes/kibi/kibi)
	}
}
