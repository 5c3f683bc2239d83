package tcpconn

import "golang.org/x/sys/unix"

// SetQuickAck makes this end acknowledge at once what arrives, and what has arrived unacknowledged, or delay its
// acknowledgments by 40 to 200 ms in the hope of data to send along (TCP_QUICKACK, RFC 1122 section 4.2.3.2). The kernel
// goes its own way again as soon as data passes, so that it must be set anew at every read (tcp(7)).
func (c *Conn) SetQuickAck(quick bool) error {
	value := 0
	if quick {
		value = 1
	}
	if err := unix.SetsockoptInt(c.fd, unix.IPPROTO_TCP, unix.TCP_QUICKACK, value); err != nil {
		return &Error{Op: "setsockopt TCP_QUICKACK", Err: err}
	}
	return nil
}
