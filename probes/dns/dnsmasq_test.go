package dns_test

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"testing"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/target"
)

// startDnsmasq runs dnsmasq in the server's namespace. Without it the test is skipped; in CI it fails.
func startDnsmasq(t *testing.T, pair *nstest.Pair, arguments ...string) {
	t.Helper()
	program, err := exec.LookPath("dnsmasq")
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal("dnsmasq is missing, and CI must not skip this test")
	}
	if err != nil {
		t.Skip("this test needs dnsmasq")
	}
	command := exec.CommandContext(context.WithoutCancel(t.Context()), program, append([]string{
		"--keep-in-foreground", "--user=root", "--conf-file=/dev/null", "--pid-file=", "--no-resolv", "--no-hosts",
		"--bind-interfaces", "--listen-address=" + nstest.ServerAddress, "--local-ttl=7",
	}, arguments...)...)
	pair.InServer(t, func() { err = command.Start() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	})
}

func TestDnsmasq(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	arguments := []string{
		"--local=/cluster.local/", "--local=/example/",
		"--host-record=payments.shop.svc.cluster.local,198.18.0.7,2001:db8::7",
		"--host-record=lb.example,198.18.0.8", "--cname=api.bank.example,lb.example",
	}
	for i := range 100 {
		address := netip.AddrFrom4([4]byte{198, 18, 1, byte(i)})
		arguments = append(arguments, fmt.Sprintf("--host-record=many.example,%s", address))
	}
	startDnsmasq(t, pair, arguments...)
	for host, c := range map[string]struct {
		full                                string
		perName, needed, aliases, truncated int
		measured                            bool
	}{
		"payments":         {"payments.shop.svc.cluster.local.", 2, 2, 0, 0, true},
		"api.bank.example": {"api.bank.example.", 8, 2, 1, 0, true},
		"many.example.":    {"many.example.", 4, 4, 0, 1, true},
		"nobody.example":   {"", 8, -1, -1, 0, false},
	} {
		// The server may not listen yet.
		at := place(t, kubernetes)
		r := measure(t.Context(), t, pair, at, quick(), host, target.AnyFamily)
		for range 100 {
			if r.Samples > 0 || value(r.Negative) > 0 {
				break
			}
			r = measure(t.Context(), t, pair, at, quick(), host, target.AnyFamily)
		}
		if (r.Outcome == result.Measured) != c.measured || r.FullName != c.full {
			t.Errorf("%s: %+v, %q", host, r.Meta, r.FullName)
			continue
		}
		if value(r.QueriesPerName) != c.perName || value(r.QueriesNeeded) != c.needed || value(r.Aliases) != c.aliases || value(r.Truncated) != c.truncated*r.Samples {
			t.Errorf("%s: %d queries a name, %d needed, %d aliases, %d truncated",
				host, value(r.QueriesPerName), value(r.QueriesNeeded), value(r.Aliases), value(r.Truncated))
		}
		if c.measured && value(r.TimeToLiveSeconds) != 7 {
			t.Errorf("%s: lives for %d s", host, value(r.TimeToLiveSeconds))
		}
	}
}
