package runner_test

import (
	"slices"
	"testing"

	"github.com/connpolicy/connpolicy/probes/runner"
	"github.com/connpolicy/connpolicy/probes/target"
)

// What is made when nothing is named suits the protocol, disturbs nobody, and is made once.
func TestSelect(t *testing.T) {
	for _, c := range []struct {
		protocol  target.Protocol
		measure   []string
		in, notIn []string
	}{
		{target.WebSocket, nil, []string{"handshake", "timeWait", "websocket"}, []string{"idle", "push", "reuse", "http2"}},
		{target.WebSocket, []string{"idle", "push"}, []string{"idle", "push"}, []string{"websocket"}},
		{target.HTTP, nil, []string{"handshake", "reuse", "idle"}, []string{"websocket", "push", "pipelining", "closing", "pathMTU", "backlog"}},
		{target.TCP, nil, []string{"handshake", "idle"}, []string{"websocket", "push", "reuse"}},
	} {
		selected, err := runner.Select(c.measure, c.protocol)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, m := range selected {
			names = append(names, m.Name)
		}
		for _, name := range c.in {
			if !slices.Contains(names, name) {
				t.Errorf("%s %v: %v without %s", c.protocol, c.measure, names, name)
			}
		}
		for _, name := range c.notIn {
			if slices.Contains(names, name) {
				t.Errorf("%s %v: %v with %s", c.protocol, c.measure, names, name)
			}
		}
	}
}
