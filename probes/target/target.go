// Package target says what is probed: the URL, the address behind it, and whether that address may be probed at all.
package target

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Protocol is what is spoken on the connection.
type Protocol string

// The protocols. What begins with a TLS handshake is told by Target.TLS.
const (
	TCP       Protocol = "TCP"
	HTTP      Protocol = "HTTP"
	HTTPS     Protocol = "HTTPS"
	HTTP2     Protocol = "HTTP2"
	GRPC      Protocol = "GRPC"
	WebSocket Protocol = "WebSocket"
)

// scheme is what a scheme of a URL means. The first of the protocols is the default.
type scheme struct {
	name      string
	port      string // default; empty: the URL must name one
	tls       bool
	protocols []Protocol
}

func schemes() []scheme {
	return []scheme{
		{"http", "80", false, []Protocol{HTTP, TCP, HTTP2, GRPC, WebSocket}},
		{"https", "443", true, []Protocol{HTTPS, TCP, HTTP2, GRPC, WebSocket}},
		{"tcp", "", false, []Protocol{TCP}},
		{"ws", "80", false, []Protocol{WebSocket, TCP}},
		{"wss", "443", true, []Protocol{WebSocket, TCP}},
	}
}

// Protocols lists all protocols by their names.
func Protocols() []Protocol { return []Protocol{TCP, HTTP, HTTPS, HTTP2, GRPC, WebSocket} }

// Target is one endpoint.
type Target struct {
	// URL as the user gave it.
	URL      string
	Protocol Protocol
	// TLS: connections begin with a TLS handshake.
	TLS bool
	// Host is a name or an IP address, Port a TCP port.
	Host string
	Port uint16
	// HostHeader and RequestTarget are what an HTTP request says: host with port unless it is the scheme's default, path
	// with query.
	HostHeader, RequestTarget string
}

// Parse reads a URL of the form http://host[:port][/path], with https, ws or wss for http, or tcp://host:port. protocol
// overrides the one that the scheme stands for, if it is not empty: TCP measures an http:// URL without speaking HTTP.
func Parse(rawURL string, protocol Protocol) (Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Target{}, fmt.Errorf("the target is no URL such as http://host:port/path: %w", err)
	}
	if u.Scheme == "" {
		return Target{}, fmt.Errorf("the target %q has no scheme; write http://host:port/path or tcp://host:port", rawURL)
	}
	all := schemes()
	at := slices.IndexFunc(all, func(s scheme) bool { return s.name == u.Scheme })
	if at < 0 {
		return Target{}, fmt.Errorf("the scheme %q is none of http, https, ws, wss and tcp; write http://host:port/path or tcp://host:port", u.Scheme)
	}
	known := all[at]
	t := Target{URL: rawURL, Protocol: known.protocols[0], Host: u.Hostname()}
	if t.Host == "" {
		return Target{}, fmt.Errorf("the target %q names no host", rawURL)
	}
	if u.User != nil {
		return Target{}, errors.New("the target must not hold a user name or password")
	}
	port := cmp.Or(u.Port(), known.port)
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Target{}, fmt.Errorf("the target %q needs a port from 1 to 65535", rawURL)
	}
	t.Port = uint16(number)
	if protocol != "" {
		if !slices.Contains(Protocols(), protocol) {
			return Target{}, fmt.Errorf("there is no protocol %q; they are %v", protocol, Protocols())
		}
		if !slices.Contains(known.protocols, protocol) {
			return Target{}, fmt.Errorf("protocol %s needs a target %s, not %q", protocol, wanted(protocol), rawURL)
		}
		t.Protocol = protocol
	}
	t.TLS = known.tls && t.Protocol != TCP
	t.HostHeader = strings.TrimSuffix(u.Host, ":")
	if port == known.port {
		t.HostHeader = strings.TrimSuffix(t.HostHeader, ":"+port)
	}
	t.RequestTarget = u.RequestURI()
	// A query is passed on as it is written, and a space would end the target within it (RFC 9112 section 3.2).
	if !IsRequestTarget(t.RequestTarget) {
		return Target{}, fmt.Errorf("the query of the target %q must be escaped: a space is %%20", rawURL)
	}
	return t, nil
}

// IsRequestTarget says whether a path with its query may stand in a request as it is (RFC 9112 section 3.2.1).
func IsRequestTarget(path string) bool {
	return strings.HasPrefix(path, "/") && !strings.ContainsFunc(path, func(r rune) bool { return r <= ' ' || r > '~' })
}

// wanted names the URLs that a protocol goes with.
func wanted(protocol Protocol) string {
	var urls []string
	for _, s := range schemes() {
		if slices.Contains(s.protocols, protocol) {
			urls = append(urls, s.name+"://…")
		}
	}
	return strings.Join(urls, " or ")
}
