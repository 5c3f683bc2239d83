package main

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// startResolving starts the probe in the client's namespace, where /etc/resolv.conf is what the kubelet writes for a pod.
func startResolving(t *testing.T, pair *nstest.Pair, arguments ...string) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "resolv.conf")
	text := "search shop.svc.cluster.local svc.cluster.local cluster.local\nnameserver " + nstest.ServerAddress + "\noptions ndots:5\n"
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	var p *process
	var err error
	pair.InClient(t, func() {
		// The thread, which ends with this function, gets a tree of mounts of its own.
		if err = unix.Unshare(unix.CLONE_NEWNS); err != nil {
			return
		}
		if err = unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return
		}
		if err = unix.Mount(file, "/etc/resolv.conf", "", unix.MS_BIND, ""); err == nil {
			p = start(t, arguments...)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// What a name costs is measured beside what its address does, and where it has no address, alone.
func TestRunWithAName(t *testing.T) {
	pair := nstest.New(t)
	pair.ServeNames(t, nstest.ServerAddress, nstest.Zone("payments.shop.svc.cluster.local."))
	listener := pair.Listen(t)
	nstest.Answer(t, listener, func(connection net.Conn, _ int) bool {
		_, err := connection.Write([]byte("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
		return err == nil
	})
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for host, c := range map[string]struct {
		code    int
		outcome result.Outcome
		perName int
	}{
		"payments.shop.svc": {exitOK, result.Measured, 3},
		"nobody.shop.svc":   {exitFailed, result.Failed, 4},
	} {
		p := startResolving(t, pair, "run", "--target", "http://"+net.JoinHostPort(host, port), "--address-family", "IPv4", "--measure", "dns,identity", "--limit-seconds", "10", "-o", "json")
		code := p.wait()
		var r result.Result
		if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
			t.Fatalf("%s: %v: %s%s", host, err, &p.stdout, &p.stderr)
		}
		matchesSchema(t, p.stdout.Bytes())
		d, identity := r.Measurements.DNS, r.Measurements.Identity
		if code != c.code || d.Outcome != c.outcome || identity.Outcome != c.outcome {
			t.Errorf("%s: exit code %d: %+v, %+v", host, code, d.Meta, identity.Meta)
		}
		if d.QueriesPerName == nil || *d.QueriesPerName != c.perName || d.Lost == nil || *d.Lost != 0 {
			t.Errorf("%s: %+v", host, d)
		}
		if c.outcome == result.Failed && (!strings.Contains(identity.Cause, "does not resolve") || r.Target.Address != "" || r.Spent.Connections != 0) {
			t.Errorf("%s: %+v, %+v", host, identity.Meta, r.Target)
		}
	}
}

// Where a name server leaves one family unanswered, the other is probed, by the search list of the pod.
func TestRunWhereAFamilyIsNotAnswered(t *testing.T) {
	const full = "payments.shop.svc.cluster.local."
	zone := nstest.Zone(full)
	mute := func(kind dnsmessage.Type) func(nstest.Query) [][]byte {
		return func(q nstest.Query) [][]byte {
			if q.Kind == kind {
				return nil
			}
			return zone(q)
		}
	}
	for name, c := range map[string]struct {
		respond func(nstest.Query) [][]byte
		address string
		// says is what --verbose tells of it; empty: nothing.
		says string
	}{
		"never AAAA": {mute(dnsmessage.TypeAAAA), nstest.ServerAddress, "no name server answers for the IPv6 addresses of payments.shop.svc"},
		"never A":    {mute(dnsmessage.TypeA), nstest.ServerAddressIPv6, "no name server answers for the IPv4 addresses of payments.shop.svc"},
		// The sixth query is for one family of the full name, behind two for each of two domains that do not have it.
		"an answer is lost": {func(q nstest.Query) [][]byte {
			if q.Number == 6 {
				return nil
			}
			return zone(q)
		}, "", ""},
		"the name does not exist for AAAA": {func(q nstest.Query) [][]byte {
			if q.Kind == dnsmessage.TypeAAAA {
				return [][]byte{q.Reply(dnsmessage.RCodeNameError, "")}
			}
			return zone(q)
		}, nstest.ServerAddress, ""},
		"AAAA is refused": {func(q nstest.Query) [][]byte {
			if q.Kind == dnsmessage.TypeAAAA {
				return [][]byte{q.Reply(dnsmessage.RCodeRefused, "")}
			}
			return zone(q)
		}, nstest.ServerAddress, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			names := pair.ServeNames(t, nstest.ServerAddress, c.respond)
			const port = 8080
			for _, address := range []string{nstest.ServerAddress, nstest.ServerAddressIPv6} {
				serve(t, pair.ListenWith(t, nstest.ListenOptions{Address: address, Port: port}))
			}
			p := startResolving(t, pair, "run", "--target", fmt.Sprintf("http://payments.shop.svc:%d/", port), "--measure", "identity", "--limit-seconds", "10", "-o", "json", "-v")
			code := p.wait()
			var r result.Result
			if err := json.Unmarshal(p.stdout.Bytes(), &r); err != nil {
				t.Fatalf("%v: %s%s", err, &p.stdout, &p.stderr)
			}
			if identity := r.Measurements.Identity; code != exitOK || identity.Outcome != result.Measured {
				t.Fatalf("exit code %d: %+v: %s", code, identity.Meta, &p.stderr)
			}
			if want := net.JoinHostPort(c.address, strconv.Itoa(port)); c.address != "" && (r.Target.Address != want || r.Target.Addresses != nil) {
				t.Errorf("probes %+v, want %s alone", r.Target, want)
			}
			if c.address == "" && len(r.Target.Addresses) != 2 {
				t.Errorf("probes %+v, although both families are answered once they are asked for again", r.Target)
			}
			if log := p.stderr.String(); strings.Contains(log, "no name server answers") != (c.says != "") || !strings.Contains(log, c.says) {
				t.Errorf("says %q, want %q", log, c.says)
			}
			if c.says != "" && !slices.ContainsFunc(names.Queries(), func(q nstest.Query) bool { return q.Name == full }) {
				t.Errorf("the search list does not lead to %s: %v", full, names.Queries())
			}
		})
	}
}
