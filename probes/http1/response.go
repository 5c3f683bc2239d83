package http1

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Response is what one response said about itself and its connection. Its body was read and thrown away.
type Response struct {
	Status int
	// HTTP10: the status line said HTTP/1.0.
	HTTP10 bool
	// CloseAnnounced: the header Connection has the option close.
	CloseAnnounced bool
	// Delimited: the body had neither a length nor chunks; it ended with the connection (RFC 9112 section 6.3).
	Delimited bool
	// Persistent: both sides may use the connection for a further request (RFC 9112 section 9.3).
	Persistent bool
	// KeepAlive is the content of the header Keep-Alive; nil if there was none.
	KeepAlive *result.KeepAliveHeader
	// BodyBytes is the length of the body.
	BodyBytes int64
	// ContentType is the media type of the body, in lower case and without its parameters; empty if the server did not say.
	ContentType string
	// Upgrade is what the server says about a change to another protocol. Nil: it says nothing.
	Upgrade *Upgrade
	// Said holds the fields by which servers and proxies tell of themselves and of the connection, by their name in lower
	// case, shortened, the first of each name: see tells.
	Said map[string]string
}

// Upgrade is what a response says about a change to another protocol (RFC 9110 section 7.8), and about WebSocket (RFC 6455
// section 4.2.2).
type Upgrade struct {
	// Protocol is the value of the header Upgrade, in lower case.
	Protocol string
	// Agreed: the header Connection has the option upgrade.
	Agreed bool
	// Accept, Subprotocol and Extensions are the values of Sec-WebSocket-Accept, -Protocol and -Extensions, the last by its
	// elements and all shortened.
	Accept, Subprotocol string
	Extensions          []string
}

// mostExtensions is how many are kept of a response.
const mostExtensions = 8

// tells says whether a field, by its name in lower case, is kept in Response.Said: Via (RFC 9110 section 7.6.3), Forwarded
// (RFC 7239), Server, those of Envoy, and those of our own server.
func tells(name string) bool {
	return name == "via" || name == "forwarded" || name == "server" ||
		strings.HasPrefix(name, "x-envoy-") || strings.HasPrefix(name, "connpolicy-")
}

// mostSaid is how many such fields are kept of a response.
const mostSaid = 8

// ErrMalformed is wrapped by the errors of answers that are no HTTP/1 response.
var ErrMalformed = errors.New("the answer is not valid HTTP/1")

// framing is how the end of a body is found.
type framing struct {
	chunked bool
	// length is the value of Content-Length, -1 if there was none.
	length int64
}

func malformed(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, values...))
}

// parseStatusLine reads "HTTP/1.1 200 OK". The reason phrase may be absent.
func parseStatusLine(line string) (status int, http10 bool, err error) {
	version, rest, found := strings.Cut(line, " ")
	if !found || (version != "HTTP/1.1" && version != "HTTP/1.0") {
		return 0, false, malformed("it begins with %q", shorten(line))
	}
	code, _, _ := strings.Cut(rest, " ")
	status, err = strconv.Atoi(code)
	if err != nil || len(code) != 3 || status < 100 {
		return 0, false, malformed("status %q", shorten(code))
	}
	return status, version == "HTTP/1.0", nil
}

// parseHeaders reads the fields that decide about the connection and the body, and checks the form of the others.
func parseHeaders(lines []string, r *Response) (framing, error) {
	f := framing{length: -1}
	keepAliveAnnounced, otherCoding := false, false
	for _, line := range lines {
		name, value, found := strings.Cut(line, ":")
		if !found || name == "" || strings.ContainsAny(name, " \t") {
			return framing{}, malformed("header line %q", shorten(line))
		}
		value = strings.Trim(value, " \t")
		name = strings.ToLower(name)
		if _, known := r.Said[name]; tells(name) && !known && len(r.Said) < mostSaid {
			if r.Said == nil {
				r.Said = map[string]string{}
			}
			r.Said[name] = shorten(value)
		}
		switch name {
		case "connection":
			for option := range options(value) {
				r.CloseAnnounced = r.CloseAnnounced || option == "close"
				keepAliveAnnounced = keepAliveAnnounced || option == "keep-alive"
				if option == "upgrade" {
					r.upgrade().Agreed = true
				}
			}
		case "keep-alive":
			r.KeepAlive = parseKeepAlive(value)
		case "content-length":
			length, err := strconv.ParseUint(value, 10, 63)
			if err != nil || (f.length >= 0 && f.length != int64(length)) {
				return framing{}, malformed("Content-Length %q", shorten(value))
			}
			f.length = int64(length)
		case "transfer-encoding":
			for coding := range options(value) {
				f.chunked = coding == "chunked"
				otherCoding = true
			}
		case "content-type":
			mediaType, _, _ := strings.Cut(value, ";")
			r.ContentType = strings.ToLower(shorten(strings.TrimSpace(mediaType)))
		case "upgrade":
			r.upgrade().Protocol = strings.ToLower(shorten(value))
		case "sec-websocket-accept":
			r.upgrade().Accept = shorten(value)
		case "sec-websocket-protocol":
			r.upgrade().Subprotocol = shorten(value)
		case "sec-websocket-extensions":
			r.upgrade().addExtensions(value)
		}
	}
	if otherCoding {
		f.length = -1
	}
	r.Persistent = !r.CloseAnnounced && (!r.HTTP10 || keepAliveAnnounced)
	return f, nil
}

// upgrade is where it is noted what the response says about a change of the protocol.
func (r *Response) upgrade() *Upgrade {
	if r.Upgrade == nil {
		r.Upgrade = &Upgrade{}
	}
	return r.Upgrade
}

func (u *Upgrade) addExtensions(value string) {
	for extension := range strings.SplitSeq(value, ",") {
		if extension = strings.TrimSpace(extension); extension != "" && len(u.Extensions) < mostExtensions {
			u.Extensions = append(u.Extensions, shorten(extension))
		}
	}
}

// options yields the elements of a comma-separated list, in lower case.
func options(value string) func(func(string) bool) {
	return func(yield func(string) bool) {
		for option := range strings.SplitSeq(value, ",") {
			if !yield(strings.ToLower(strings.TrimSpace(option))) {
				return
			}
		}
	}
}

// parseKeepAlive reads "timeout=5, max=100". Parameters that are not numbers are left out.
func parseKeepAlive(value string) *result.KeepAliveHeader {
	header := &result.KeepAliveHeader{}
	for option := range options(value) {
		name, text, _ := strings.Cut(option, "=")
		number, err := strconv.Atoi(strings.Trim(text, `"`))
		if err != nil || number < 0 {
			continue
		}
		switch name {
		case "timeout":
			header.TimeoutSeconds = &number
		case "max":
			header.Max = &number
		}
	}
	return header
}

// shorten cuts what a stranger sent to a length that suits an error message.
func shorten(text string) string {
	const maximum = 40
	if len(text) > maximum {
		return text[:maximum] + "…"
	}
	return text
}
