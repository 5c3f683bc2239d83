package audit

import "github.com/connpolicy/connpolicy/probes/result"

const (
	protocolTCP   = "TCP"
	needWebSocket = "websocket"
	needPush      = "push"
)

func websocketSource() source[result.WebSocket] {
	return source[result.WebSocket]{name: needWebSocket, of: func(m *result.Measurements) *result.WebSocket { return m.WebSocket }}
}

func pushSource() source[result.Push] {
	return source[result.Push]{name: needPush, of: func(m *result.Measurements) *result.Push { return m.Push }}
}
