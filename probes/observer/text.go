package observer

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// WriteText renders an observation for people. The error is that of the writer.
func WriteText(w io.Writer, o result.Observation) error {
	var t text
	t.line("Looked for   %s at the connections of this network namespace, %d times, with %.1f %% of a processor",
		seconds(o.UptimeSeconds), o.Cost.Looks, percent(o.Cost.CPUSeconds, o.UptimeSeconds))
	t.line("Kernel       %s", o.Kernel)
	t.opened(o)
	t.ports(o)
	for _, meaning := range meanings(o) {
		t.line("\n! %s", meaning)
	}
	for _, d := range o.Destinations {
		t.destination(d, o.UptimeSeconds)
	}
	if o.OtherDestinations != nil {
		t.destination(*o.OtherDestinations, o.UptimeSeconds)
	}
	for _, l := range o.Listeners {
		t.listener(l, o.UptimeSeconds)
	}
	t.counters(o)
	_, err := io.WriteString(w, t.String())
	return err
}

type text struct{ strings.Builder }

func (t *text) line(format string, values ...any) { fmt.Fprintf(t, format+"\n", values...) }

func (t *text) opened(o result.Observation) {
	if o.Opened == nil {
		t.line("Opened       unknown: the kernel's counters could not be read")
		return
	}
	t.line("Opened       %d connections, %.1f a second", *o.Opened, float64(*o.Opened)/o.UptimeSeconds)
	if o.OpenedUnseen != nil && *o.OpenedUnseen > 0 {
		t.line("             of %d no socket was seen, so that they count for no destination below", *o.OpenedUnseen)
	}
	if share := percent(o.Cost.ExactSeconds, o.UptimeSeconds); share < 99 || o.Cost.ClosingsLost > 0 {
		t.line("             for %.0f %% of the time the kernel told each end of a connection (%d losses); the rest is known to the second",
			share, o.Cost.ClosingsLost)
	}
}

func (t *text) ports(o result.Observation) {
	if o.PortsAvailable != nil {
		t.line("Local ports  %d for each destination", *o.PortsAvailable)
	}
	if o.TimeWaitUnknown > 0 {
		t.line("             %d in TIME_WAIT may have been opened here or accepted", o.TimeWaitUnknown)
	}
}

func (t *text) destination(d result.Destination, elapsed float64) {
	if d.Address == result.OtherDestinations {
		t.line("\nTo all other destinations")
	} else {
		t.line("\nTo %s", d.Address)
	}
	t.line("  local ports        %d held, %d at the most; %d of them in TIME_WAIT: closed here within the last 60 s",
		d.PortsInUse, d.PortsInUsePeak, d.TimeWait)
	if d.PortsOfOtherParity != nil && *d.PortsOfOtherParity > 0 {
		t.line("                     %d of them connect() would take last; bind() to port 0 takes such a port from all destinations",
			*d.PortsOfOtherParity)
	}
	if d.Connections != nil {
		t.connections(*d.Connections, elapsed, "opened")
		if e := d.Connections.Ends; e != nil && e.Unanswered > 0 {
			t.line("  unanswered         %d of the orderly ended with data of this side last: nothing came back", e.Unanswered)
		}
	}
}

func (t *text) listener(l result.Listener, elapsed float64) {
	t.line("\nListening on %s", l.Address)
	t.line("  accept queue       %d wait, %d at the most, %d may", l.Queue, l.QueuePeak, l.QueueLimit)
	if l.Accepted != nil {
		t.connections(*l.Accepted, elapsed, "accepted")
	}
}

func (t *text) connections(c result.Connections, elapsed float64, verb string) {
	t.line("  %-18s %d, %.2f a second", verb, c.Opened, float64(c.Opened)/elapsed)
	if c.Failed > 0 {
		t.line("  failed             %d were refused or never answered", c.Failed)
	}
	mean := ""
	if c.OpenMean != nil {
		mean = fmt.Sprintf(", %.1f on average", *c.OpenMean)
	}
	t.line("  open               %d now, %d at the most%s", c.Open, c.OpenPeak, mean)
	if c.BusyPeak != nil {
		t.line("  in use at once     %d at the most had carried data within a second", *c.BusyPeak)
	}
	if c.Closed > 0 {
		t.line("  ended              %d, of which %d were closed by this side first", c.Closed, c.ClosedHere)
	}
	t.ends(c)
	t.quantiles("lived at most", c.LifetimeSecondsAtMost, func(v float64) string { return seconds(v) })
	if c.MeanLifetimeSeconds != nil {
		t.line("  lived on average   %s (estimated: open on average ÷ opened a second)", seconds(*c.MeanLifetimeSeconds))
	}
	t.quantiles("bytes sent", c.BytesSent, bytes)
	t.quantiles("bytes received", c.BytesReceived, bytes)
	t.quantiles("exchanges at most", c.ExchangesAtMost, func(v float64) string { return fmt.Sprintf("%.0f", v) })
	if c.SingleExchange != nil {
		t.line("                     (estimated from segments) %d carried one request and answer, or none", *c.SingleExchange)
	}
	t.quantiles("idle now for", c.IdleSeconds, func(v float64) string { return seconds(v) })
	if c.Open > 0 {
		t.line("  keepalive          armed on %d, not on %d, unknown of %d", c.Keepalive.Armed, c.Keepalive.NotArmed, c.Keepalive.Unknown)
	}
	if c.CloseWait > 0 && c.CloseWaitOldestSeconds != nil {
		t.line("  CLOSE_WAIT         %d, the oldest for at least %s: the peer has closed, the application here has not",
			c.CloseWait, seconds(*c.CloseWaitOldestSeconds))
	}
	if c.NagleSamples > 0 {
		t.line("  Nagle's algorithm  held a small segment back in %d of %d looks at connections with data under way",
			c.NagleSamples, c.InFlightSamples)
	}
	if c.ZeroWindowSamples > 0 {
		t.line("  zero window        in %d of %d looks the peer took no data: its application does not read", c.ZeroWindowSamples, c.Samples)
	}
	if c.RetransmittedSegments > 0 {
		t.line("  sent again         %d segments", c.RetransmittedSegments)
	}
}

// ends tells how connections ended, as far as the kernel told.
func (t *text) ends(c result.Connections) {
	e := c.Ends
	if e == nil {
		return
	}
	told := ""
	if unknown := c.Closed - e.Told(); unknown > 0 {
		told = fmt.Sprintf("; of %d the kernel did not tell", unknown)
	}
	t.line("                     %d orderly, %d reset by the peer or a hop, %d reset by this side, %d on which the peer fell silent%s",
		e.Orderly, e.Reset, e.ResetHere, e.Silent, told)
}

func (t *text) quantiles(name string, q *result.Quantiles, unit func(float64) string) {
	if q == nil {
		return
	}
	line := fmt.Sprintf("  %-18s median %s, p99 %s", name, unit(q.P50), unit(q.P99))
	if q.Max != nil && q.Samples != nil {
		line += fmt.Sprintf(", most %s, of %d", unit(*q.Max), *q.Samples)
	}
	t.line("%s", line)
}

// counters shows those of trouble that grew.
func (t *text) counters(o result.Observation) {
	title := "\nWhat the kernel counted meanwhile"
	for _, name := range countersOfTrouble() {
		if grown := o.CounterChanges[name]; grown != 0 {
			if title != "" {
				t.line("%s", title)
				title = ""
			}
			t.line("  %-32s %d", name, grown)
		}
	}
}

func seconds(value float64) string {
	d := time.Duration(value * float64(time.Second))
	switch {
	case d < time.Second:
		return fmt.Sprintf("%.0f ms", value*1000)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.1f s", value)
	default:
		return d.Round(time.Second).String()
	}
}

func bytes(value float64) string {
	const kibi = 1024
	switch {
	case value < 10*kibi:
		return fmt.Sprintf("%.0f B", value)
	case value < 10*kibi*kibi:
		return fmt.Sprintf("%.0f KiB", value/kibi)
	default:
		return fmt.Sprintf("%.0f MiB", value/kibi/kibi)
	}
}

func percent(part, whole float64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * part / whole
}
