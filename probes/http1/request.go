// Package http1 writes requests and reads responses of HTTP/1 (RFC 9112) on a connection that the caller owns, so that
// nothing but the bytes asked for is sent and every byte that arrives is bounded and accounted for.
package http1

import (
	"bytes"
	"cmp"
)

// Request is a request without a body. Nothing in it is escaped: the target must be valid as a whole.
type Request struct {
	// Method is GET or HEAD.
	Method string
	// Host is the value of the Host header, Target the path and query (origin-form, RFC 9112 section 3.2.1).
	Host, Target string
	UserAgent    string
	// Accept is the value of the Accept header; empty is */*.
	Accept string
	// Close asks the server to close the connection after its response. Without it the request asks to keep it, which
	// HTTP/1.1 means anyway, but servers of HTTP/1.0 keep none unasked, and Apache tells its limits (Keep-Alive) only to
	// those who ask.
	Close bool
	// Upgrade names the protocol that the connection is to change to (RFC 9110 section 7.8); empty: none.
	Upgrade string
	// Fields are further header fields.
	Fields []Field
}

// Field is a header field.
type Field struct{ Name, Value string }

// Bytes renders the request.
func (r Request) Bytes() []byte {
	const usual = 256
	b := bytes.NewBuffer(make([]byte, 0, usual))
	for _, part := range []string{
		r.Method, " ", r.Target, " HTTP/1.1\r\nHost: ", r.Host, "\r\nUser-Agent: ", r.UserAgent,
		"\r\nAccept: ", cmp.Or(r.Accept, "*/*"), "\r\n",
	} {
		b.WriteString(part)
	}
	switch {
	case r.Upgrade != "":
		b.WriteString("Connection: Upgrade\r\nUpgrade: " + r.Upgrade + "\r\n")
	case r.Close:
		b.WriteString("Connection: close\r\n")
	default:
		b.WriteString("Connection: keep-alive\r\n")
	}
	for _, field := range r.Fields {
		for _, part := range []string{field.Name, ": ", field.Value, "\r\n"} {
			b.WriteString(part)
		}
	}
	b.WriteString("\r\n")
	return b.Bytes()
}
