// Package nstest gives tests two network namespaces of their own, joined by a cable: one to be the client in, one to be the
// server in. They need root and the program ip of iproute2.
package nstest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Addresses of the two ends, from the ranges set aside for benchmarks (RFC 2544) and for documentation (RFC 3849).
const (
	ClientAddress     = "198.18.99.1"
	ServerAddress     = "198.18.99.2"
	ClientAddressIPv6 = "2001:db8:99::1"
	ServerAddressIPv6 = "2001:db8:99::2"
)

// Pair is two namespaces joined by a veth pair, or by a Link.
type Pair struct {
	client, server string
}

// RequireRoot skips the test without root; in CI, where a skip would look like a pass, it fails.
func RequireRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("this test needs root for network namespaces, and CI must not skip it")
	}
	t.Skip("this test needs root for network namespaces")
}

// New makes a pair and removes it when the test ends.
func New(t *testing.T) *Pair {
	t.Helper()
	p := newNamespaces(t)
	ip(t, "-n", p.client, "link", "add", interfaceName, "type", "veth", "peer", "name", interfaceName, "netns", p.server)
	p.configureAddresses(t)
	return p
}

// newNamespaces makes two namespaces that nothing joins yet.
func newNamespaces(t *testing.T) *Pair {
	t.Helper()
	RequireRoot(t)
	name := uniqueName(t)
	p := &Pair{client: name + "c", server: name + "s"}
	for _, namespace := range []string{p.client, p.server} {
		ip(t, "netns", "add", namespace)
		t.Cleanup(func() { ip(t, "netns", "del", namespace) })
		ip(t, "-n", namespace, "link", "set", "lo", "up")
	}
	return p
}

// configureAddresses gives the interfaces of both namespaces their addresses, sets them up and waits until packets pass.
func (p *Pair) configureAddresses(t *testing.T) {
	t.Helper()
	for namespace, addresses := range map[string][2]string{
		p.client: {ClientAddress, ClientAddressIPv6},
		p.server: {ServerAddress, ServerAddressIPv6},
	} {
		ip(t, "-n", namespace, "addr", "add", addresses[0]+"/24", "dev", interfaceName)
		// Detecting that another has the same address would take a second, and there is no other.
		ip(t, "-n", namespace, "addr", "add", addresses[1]+"/64", "dev", interfaceName, "nodad")
		ip(t, "-n", namespace, "link", "set", interfaceName, "up")
	}
	p.InClient(t, func() { waitForLink(t) })
}

// waitForLink waits until packets pass. The kernel finishes setting a link up in the background, up to a second after the
// command, and drops what is sent before. A port that nobody listens on answers as soon as packets pass; it is one of UDP,
// so that the counters of TCP stay at zero.
func waitForLink(t *testing.T) {
	const closedPort = "9"
	for _, server := range []string{ServerAddress, ServerAddressIPv6} {
		deadline := time.Now().Add(30 * time.Second)
		for !answers(t, net.JoinHostPort(server, closedPort)) {
			if time.Now().After(deadline) {
				t.Errorf("the link between the namespaces does not come up: no answer of %s", server)
				return
			}
		}
	}
}

func answers(t *testing.T, address string) bool {
	var dialer net.Dialer
	connection, err := dialer.DialContext(t.Context(), "udp", address)
	if err != nil {
		return false
	}
	defer func() { _ = connection.Close() }()
	if err := connection.SetDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		return false
	}
	if _, err := connection.Write([]byte{0}); err != nil {
		return false
	}
	_, err = connection.Read(make([]byte, 1))
	return errors.Is(err, unix.ECONNREFUSED)
}

// uniqueName tells the namespaces of tests that run at the same time apart, in this process and others.
func uniqueName(t *testing.T) string {
	t.Helper()
	random := make([]byte, 6)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	return "connpolicy-" + hex.EncodeToString(random)
}

func ip(t *testing.T, arguments ...string) {
	t.Helper()
	// Cleaning up comes after the end of the test's own context.
	command := exec.CommandContext(context.WithoutCancel(t.Context()), "ip", arguments...) //nolint:gosec // the tests' own arguments
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("ip %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
}

// InClient runs work on a thread inside the client's namespace and waits for its end.
func (p *Pair) InClient(t *testing.T, work func()) {
	t.Helper()
	inNamespace(t, p.client, work)
}

// InServer runs work on a thread inside the server's namespace and waits for its end.
func (p *Pair) InServer(t *testing.T, work func()) {
	t.Helper()
	inNamespace(t, p.server, work)
}

func inNamespace(t *testing.T, namespace string, work func()) {
	t.Helper()
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		// Never unlocked: the runtime ends the thread with the goroutine, and no other goroutine meets the namespace.
		runtime.LockOSThread()
		if err := enter(namespace); err != nil {
			failure = err
			return
		}
		work()
	}()
	<-done
	if failure != nil {
		t.Fatal(failure)
	}
}

func enter(namespace string) error {
	file, err := os.Open("/run/netns/" + namespace) //nolint:gosec // the name is one that New made
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	return unix.Setns(int(file.Fd()), unix.CLONE_NEWNET)
}

// AddressOf is the address and port that a listener has.
func AddressOf(t *testing.T, listener net.Listener) netip.AddrPort {
	t.Helper()
	address, err := netip.ParseAddrPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return address
}

// Sysctl sets a sysctl in the client's namespace.
func (p *Pair) Sysctl(t *testing.T, name, value string) {
	t.Helper()
	var err error
	p.InClient(t, func() { err = setSysctl(name, value) })
	if err != nil {
		t.Fatal(err)
	}
}

// SysctlServer sets a sysctl in the server's namespace.
func (p *Pair) SysctlServer(t *testing.T, name, value string) {
	t.Helper()
	var err error
	p.InServer(t, func() { err = setSysctl(name, value) })
	if err != nil {
		t.Fatal(err)
	}
}

func setSysctl(name, value string) error {
	return os.WriteFile("/proc/sys/"+strings.ReplaceAll(name, ".", "/"), []byte(value), 0)
}
