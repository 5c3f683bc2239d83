package audit

import (
	"fmt"

	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	protocolTCP   = "TCP"
	needWebSocket = "websocket"
	needPush      = "push"
)

func websocketSource() source[result.WebSocket] {
	return source[result.WebSocket]{name: needWebSocket, of: func(m *result.Measurements) *result.WebSocket { return m.WebSocket }}
}

func pushSource() source[result.Push] {
	return source[result.Push]{name: needPush, of: func(m *result.Measurements) *result.Push { return m.Push }, moot: noPush}
}

// noPush says that a target that offers no way to tell news has none that could be held back, cut, or compared.
func noPush(_ Input, p ProbeResult) string {
	return fmt.Sprintf("The target offers no stream, long poll or WebSocket: %s.", p.Result.Measurements.Push.Cause)
}
