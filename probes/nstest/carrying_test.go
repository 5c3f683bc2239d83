package nstest

import (
	"io"
	"net"
	"testing"
	"time"
)

// A program that makes packets up must know that the kernel checks and fills in checksums on the way.
func TestTheKernelFillsInChecksums(t *testing.T) {
	for _, server := range []string{ServerAddress, ServerAddressIPv6} {
		var segments, wrong int
		link := NewLink(t, LinkOptions{Drop: func(p Packet) bool {
			if p.IsTCP() {
				segments++
				if !hasRightChecksum(p) {
					wrong++
				}
			}
			return false
		}})
		listener := link.ListenWith(t, ListenOptions{Address: server})
		Serve(t, listener, func(connection net.Conn) { _, _ = io.Copy(connection, connection) })
		link.InClient(t, func() {
			connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", listener.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = connection.Close() }()
			_ = connection.SetDeadline(time.Now().Add(10 * time.Second))
			// An odd number of bytes, so that some checksum has one to pad.
			const payloadBytes = 100_001
			go func() { _, _ = connection.Write(make([]byte, payloadBytes)) }()
			if _, err := io.ReadFull(connection, make([]byte, payloadBytes)); err != nil {
				t.Error(err)
			}
		})
		link.Change(func(o *LinkOptions) { o.Drop = nil })
		if segments < 100 || wrong > 0 {
			t.Errorf("%s: %d of %d segments have a wrong checksum", server, wrong, segments)
		}
	}
}
