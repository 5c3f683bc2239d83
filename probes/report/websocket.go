package report

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

func (t *text) webSocket(w result.WebSocket) {
	t.title("WebSocket", w.Meta)
	if w.Upgraded == nil {
		return
	}
	if !*w.Upgraded {
		t.line("  opened             no: something on the way, or the server, does not let WebSocket through")
		return
	}
	t.distribution("opening handshake", w.HandshakeMicroseconds)
	if w.Subprotocol != "" {
		t.line("  subprotocol        %s", w.Subprotocol)
	}
	if len(w.Extensions) > 0 {
		t.line("  extensions         %s", strings.Join(w.Extensions, ", "))
	}
	t.distribution("ping", w.PongMicroseconds)
	altered := w.PongAltered != nil && *w.PongAltered
	switch {
	case w.Pong == nil || *w.Pong:
	case altered:
		t.line("  pings              are answered with other data than they had: a client that checks takes the server for dead")
	default:
		t.line("  pings              are not answered: a client that pings takes the server for dead")
	}
	t.distribution("echo", w.EchoMicroseconds)
	switch {
	case w.MessageCloseStatus != nil:
		t.line("  a text message     made the server close the connection with status %d", *w.MessageCloseStatus)
	case w.Echo == nil:
		t.line("  a text message     was not answered, which it need not be")
	case !*w.Echo:
		t.line("  a text message     was answered by others than itself")
	}
	t.answer(w.FullDuplex, "both directions", "run independently: a ping was answered in the middle of a message",
		"wait for each other: a ping in the middle of a message was not answered before its end")
	switch {
	case w.CloseHandshake == nil:
	case !*w.CloseHandshake:
		t.line("  close handshake    not answered: clients that wait for it hang")
	case w.CloseStatus != nil:
		t.line("  close handshake    answered, with status %d", *w.CloseStatus)
	default:
		t.line("  close handshake    answered")
	}
	if w.ServerMessages != nil && w.ServerPings != nil && *w.ServerMessages+*w.ServerPings > 0 {
		t.line("  of its own accord  the server sent %d messages and %d pings", *w.ServerMessages, *w.ServerPings)
	}
	if w.Idle != nil {
		t.silentWebSocket(*w.Idle)
	}
}

func (t *text) silentWebSocket(i result.Idle) {
	t.line("  silence: %s (%d samples in %.1f s)", i.Outcome, i.Samples, i.ElapsedSeconds)
	if i.Cause != "" {
		t.line("  because            %s", i.Cause)
	}
	t.silence(i, "ping", "a client that has nothing to say for longer loses its connection;", webSocketCure(i))
}

// webSocketCure is what keeps silent connections, as far as it was tried.
func webSocketCure(i result.Idle) string {
	if i.PingHelps != nil && *i.PingHelps && i.AfterSecondsAtLeast != nil {
		return fmt.Sprintf("let either end ping at least every %.1f s", *i.AfterSecondsAtLeast/2)
	}
	return "let either end say something more often, and the client connect anew when it must"
}
