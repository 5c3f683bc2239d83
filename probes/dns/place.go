package dns

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Place is where the files that configure the C library's resolver lie.
type Place struct {
	// Etc is the folder of resolv.conf and hosts, in production /etc.
	Etc string
	// Hostname is the name of the host, whose domain is the search list where resolv.conf has none.
	Hostname string
}

const (
	dnsPort = 53
	// The C library reads no more name servers than that, and no larger options (resolv.conf(5)).
	maximumServers  = 3
	maximumNdots    = 15
	maximumTimeout  = 30 * time.Second
	maximumAttempts = 5
	// maximumFileBytes bounds what is read of a file. A search list has at most 2048 characters in Kubernetes.
	maximumFileBytes = 64 << 10
)

// configuration is what resolv.conf(5) says.
type configuration struct {
	servers []netip.AddrPort
	// search is the list of domains, without their final dots; the empty one is the root.
	search   []string
	ndots    int
	timeout  time.Duration
	attempts int
	// rotate begins each resolution with another server. oneByOne asks for the second family after the answer to the
	// first, reopened from a new socket too. useTCP never asks over UDP, noAAAA never for IPv6, extended says that longer
	// answers fit (EDNS0).
	rotate, oneByOne, reopened, useTCP, noAAAA, extended bool
}

// configuration reads resolv.conf. A place without one asks the server on its own host.
func (p Place) configuration() (configuration, error) {
	text, err := p.read("resolv.conf")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return configuration{}, fmt.Errorf("read the resolver's configuration: %w", err)
	}
	_, domain, _ := strings.Cut(p.Hostname, ".")
	return parseConfiguration(text, domain), nil
}

// read returns the beginning of a file.
func (p Place) read(name string) (string, error) {
	file, err := os.Open(filepath.Join(p.Etc, name)) //nolint:gosec // the name is one of two constants
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	text := make([]byte, maximumFileBytes)
	n, err := io.ReadFull(file, text)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(text[:n]), err
}

// parseConfiguration reads the text of a resolv.conf. What it does not know it passes over, as the C library does.
// domain is the search list where the text has none; empty: no list.
func parseConfiguration(text, domain string) configuration {
	c := configuration{ndots: 1, timeout: 5 * time.Second, attempts: 2}
	if domain != "" {
		c.search = []string{strings.TrimSuffix(domain, ".")}
	}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") || strings.HasPrefix(line, ";") {
			continue
		}
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch fields[0] {
		case "nameserver":
			if address, err := netip.ParseAddr(fields[1]); err == nil && len(c.servers) < maximumServers {
				c.servers = append(c.servers, netip.AddrPortFrom(address, dnsPort))
			}
		case "domain":
			c.search = searchList(fields[1:2])
		case "search":
			c.search = searchList(fields[1:])
		case "options":
			for _, option := range fields[1:] {
				c.option(option)
			}
		}
	}
	if len(c.servers) == 0 {
		c.servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), dnsPort)}
	}
	return c
}

// searchList drops the final dots. A lone dot is the root.
func searchList(domains []string) []string {
	list := make([]string, len(domains))
	for i, domain := range domains {
		list[i] = strings.TrimSuffix(domain, ".")
	}
	return list
}

func (c *configuration) option(option string) {
	name, value, _ := strings.Cut(option, ":")
	number, err := strconv.Atoi(value)
	numeric := err == nil && number >= 0
	switch {
	case name == "ndots" && numeric:
		c.ndots = min(number, maximumNdots)
	case name == "timeout" && numeric:
		c.timeout = max(time.Second, min(time.Duration(min(number, 1000))*time.Second, maximumTimeout))
	case name == "attempts" && numeric:
		c.attempts = max(1, min(number, maximumAttempts))
	}
	switch option {
	case "rotate":
		c.rotate = true
	case "single-request":
		c.oneByOne = true
	case "single-request-reopen":
		c.oneByOne, c.reopened = true, true
	case "use-vc":
		c.useTCP = true
	case "no-aaaa":
		c.noAAAA = true
	case "edns0":
		c.extended = true
	}
}

// wait is how long the n-th server is given to answer, from 0 on: those behind the first get twice as long each, divided
// by the number of servers (glibc, resolv/res_send.c).
func (c *configuration) wait(n int) time.Duration {
	if n == 0 {
		return c.timeout
	}
	seconds := int(c.timeout/time.Second) << n / len(c.servers)
	return time.Duration(max(1, seconds)) * time.Second
}

// candidate is a full name to ask for, with its final dot.
type candidate struct {
	name string
	// searched: a domain of the search list is part of it.
	searched bool
}

// candidates are the names that a name may stand for, in the order in which they are asked for (glibc,
// resolv/res_query.c). A name with as many dots as the option ndots says is tried as it is first, else last.
func (c *configuration) candidates(name string) []candidate {
	if strings.HasSuffix(name, ".") {
		return []candidate{{name: name}}
	}
	asIs := candidate{name: name + "."}
	var list []candidate
	tried := strings.Count(name, ".") >= c.ndots
	if tried {
		list = append(list, asIs)
	}
	for _, domain := range c.search {
		if domain != "" {
			list = append(list, candidate{name: name + "." + domain + ".", searched: true})
			continue
		}
		// The root on the list is the name as it is, in that place.
		if !tried {
			list = append(list, candidate{name: asIs.name, searched: true})
			tried = true
		}
	}
	if !tried {
		list = append(list, asIs)
	}
	return list
}

// hosts says whether the name stands in the hosts file, so that no server is asked for it. A file that cannot be read
// holds no names.
func (p Place) hosts(name string) bool {
	text, err := p.read("hosts")
	if err != nil {
		return false
	}
	for line := range strings.Lines(text) {
		line, _, _ = strings.Cut(line, "#")
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		if _, err := netip.ParseAddr(fields[0]); err != nil {
			continue
		}
		if slices.ContainsFunc(fields[1:], func(alias string) bool { return strings.EqualFold(alias, strings.TrimSuffix(name, ".")) }) {
			return true
		}
	}
	return false
}
