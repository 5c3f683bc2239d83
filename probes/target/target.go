// Package target says what is probed: the URL, the address behind it, and whether that address may be probed at all.
package target

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// Protocol is what is spoken on the connection.
type Protocol string

// The protocols that this version speaks.
const (
	TCP  Protocol = "TCP"
	HTTP Protocol = "HTTP"
)

// Target is one endpoint.
type Target struct {
	// URL as the user gave it.
	URL      string
	Protocol Protocol
	// Host is a name or an IP address, Port a TCP port.
	Host string
	Port uint16
	// HostHeader and RequestTarget are what an HTTP request says: host with port unless it is 80, path with query.
	HostHeader, RequestTarget string
}

// Parse reads a URL of the form http://host[:port][/path] or tcp://host:port. protocol overrides the one that the scheme
// names, if it is not empty: TCP measures an http:// URL without speaking HTTP.
func Parse(rawURL string, protocol Protocol) (Target, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return Target{}, fmt.Errorf("the target is no URL such as http://host:port/path: %w", err)
	}
	t := Target{URL: rawURL, Host: u.Hostname()}
	port := u.Port()
	switch u.Scheme {
	case "http":
		t.Protocol = HTTP
		if port == "" {
			port = "80"
		}
	case "tcp":
		t.Protocol = TCP
	case "":
		return Target{}, fmt.Errorf("the target %q has no scheme; write http://host:port/path or tcp://host:port", rawURL)
	default:
		return Target{}, fmt.Errorf("this version does not speak %q; use http:// or tcp://", u.Scheme)
	}
	if t.Host == "" {
		return Target{}, fmt.Errorf("the target %q names no host", rawURL)
	}
	if u.User != nil {
		return Target{}, errors.New("the target must not hold a user name or password")
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil || number == 0 {
		return Target{}, fmt.Errorf("the target %q needs a port from 1 to 65535", rawURL)
	}
	t.Port = uint16(number)
	if protocol != "" && protocol != t.Protocol {
		if protocol != TCP {
			return Target{}, fmt.Errorf("protocol %s needs a target http://…, not %q", protocol, rawURL)
		}
		t.Protocol = TCP
	}
	t.HostHeader = u.Host
	if t.Port == 80 {
		t.HostHeader = strings.TrimSuffix(t.HostHeader, ":80")
	}
	t.RequestTarget = u.RequestURI()
	// A query is passed on as it is written, and a space would end the target within it (RFC 9112 section 3.2).
	if strings.ContainsFunc(t.RequestTarget, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Target{}, fmt.Errorf("the query of the target %q must be escaped: a space is %%20", rawURL)
	}
	return t, nil
}

// Family is the address family to choose addresses from.
type Family string

// The families, named as the networks of Go's resolver.
const (
	AnyFamily Family = "ip"
	IPv4      Family = "ip4"
	IPv6      Family = "ip6"
)

// Resolve asks Go's resolver, unless the host is an address with a zone, and returns the first address of the family.
func (t Target) Resolve(ctx context.Context, family Family) (netip.AddrPort, error) {
	// Go's resolver loses the zone of a link-local address.
	if address, err := netip.ParseAddr(t.Host); err == nil && address.Zone() != "" && family != IPv4 {
		return netip.AddrPortFrom(address, t.Port), nil
	}
	addresses, err := net.DefaultResolver.LookupNetIP(ctx, string(family), t.Host)
	if err != nil {
		return netip.AddrPort{}, fmt.Errorf("the name does not resolve: %w", err)
	}
	if len(addresses) == 0 {
		return netip.AddrPort{}, fmt.Errorf("the name %s has no address of the family asked for", t.Host)
	}
	return netip.AddrPortFrom(addresses[0].Unmap(), t.Port), nil
}

// ParseFamily reads any, IPv4 or IPv6.
func ParseFamily(name string) (Family, error) {
	switch name {
	case "any":
		return AnyFamily, nil
	case "IPv4":
		return IPv4, nil
	case "IPv6":
		return IPv6, nil
	}
	return "", fmt.Errorf("the address family is any, IPv4 or IPv6, not %q", name)
}
