package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

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
