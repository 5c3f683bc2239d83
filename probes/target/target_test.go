package target

import (
	"net/netip"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		url      string
		protocol Protocol
		want     Target
	}{
		{"http://payments", "", Target{Protocol: HTTP, Host: "payments", Port: 80, HostHeader: "payments", RequestTarget: "/"}},
		{"http://payments:80/x", "", Target{Protocol: HTTP, Host: "payments", Port: 80, HostHeader: "payments", RequestTarget: "/x"}},
		{"http://payments:8080/a%20b?c=d", "", Target{Protocol: HTTP, Host: "payments", Port: 8080, HostHeader: "payments:8080", RequestTarget: "/a%20b?c=d"}},
		{"http://[fd00::1]:8080", HTTP, Target{Protocol: HTTP, Host: "fd00::1", Port: 8080, HostHeader: "[fd00::1]:8080", RequestTarget: "/"}},
		{"tcp://198.18.0.1:5432", "", Target{Protocol: TCP, Host: "198.18.0.1", Port: 5432, HostHeader: "198.18.0.1:5432", RequestTarget: "/"}},
		{"https://payments", "", Target{Protocol: HTTPS, TLS: true, Host: "payments", Port: 443, HostHeader: "payments", RequestTarget: "/"}},
		{"https://payments:80", HTTP2, Target{Protocol: HTTP2, TLS: true, Host: "payments", Port: 80, HostHeader: "payments:80", RequestTarget: "/"}},
		{"https://payments", TCP, Target{Protocol: TCP, Host: "payments", Port: 443, HostHeader: "payments", RequestTarget: "/"}},
		{"wss://payments/live", "", Target{Protocol: WebSocket, TLS: true, Host: "payments", Port: 443, HostHeader: "payments", RequestTarget: "/live"}},
		{"ws://payments:443", "", Target{Protocol: WebSocket, Host: "payments", Port: 443, HostHeader: "payments:443", RequestTarget: "/"}},
		{"http://payments", GRPC, Target{Protocol: GRPC, Host: "payments", Port: 80, HostHeader: "payments", RequestTarget: "/"}},
		{"http://payments:8080", TCP, Target{Protocol: TCP, Host: "payments", Port: 8080, HostHeader: "payments:8080", RequestTarget: "/"}},
	} {
		c.want.URL = c.url
		if got, err := Parse(c.url, c.protocol); err != nil || got != c.want {
			t.Errorf("Parse(%q, %q) = %+v, %v, want %+v", c.url, c.protocol, got, err, c.want)
		}
	}
}

func TestParseErrorsSayWhatToDo(t *testing.T) {
	for _, c := range []struct {
		url      string
		protocol Protocol
		want     string
	}{
		{"ftp://payments", "", "none of http, https, ws, wss and tcp"},
		{"payments:8080", "", "write http://"},
		{"http://payments", HTTPS, "protocol HTTPS needs a target https://…"},
		{"ws://payments", HTTP2, "needs a target http://… or https://…"},
		{"http://payments", "SPDY", "there is no protocol"},
		{"/path", "", "no scheme"},
		{"http://", "", "no host"},
		{"tcp://payments", "", "needs a port"},
		{"tcp://payments:0", "", "from 1 to 65535"},
		{"http://payments:70000", "", "from 1 to 65535"},
		{"tcp://payments:80", HTTP, "needs a target http://"},
		{"http://me:secret@payments", "", "user name or password"},
		{"http://pay ments", "", "no URL"},
		{"http://payments/\r\nX: y", "", "no URL"},
		{"http://payments/?a b", "", "must be escaped"},
		{"http://payments/?ä", "", "must be escaped"},
	} {
		if got, err := Parse(c.url, c.protocol); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q, %q) = %+v, %v, want an error with %q", c.url, c.protocol, got, err, c.want)
		}
	}
}

func TestGuard(t *testing.T) {
	guard, err := NewGuard("198.18.0.10, fd00::10,,::ffff:198.18.0.11")
	if err != nil {
		t.Fatal(err)
	}
	for _, refused := range []string{
		"127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1", "169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "fe80::1%eth0",
		"0.0.0.0", "0.1.2.3", "::", "::ffff:0.0.0.0", "224.0.0.1", "ff02::1", "255.255.255.255", "198.18.0.10", "::ffff:198.18.0.10", "198.18.0.11", "fd00::10",
	} {
		if guard.Check(netip.MustParseAddr(refused)) == nil {
			t.Errorf("%s is allowed", refused)
		}
		if err := (Guard{}).Check(netip.MustParseAddr(refused)); err != nil {
			t.Errorf("by hand, %s is refused: %v", refused, err)
		}
	}
	for _, allowed := range []string{"198.18.0.12", "10.0.0.1", "fd00::11", "2001:db8::1"} {
		if err := guard.Check(netip.MustParseAddr(allowed)); err != nil {
			t.Errorf("%s is refused: %v", allowed, err)
		}
	}
	if _, err := NewGuard("node-1"); err == nil {
		t.Error("a name in the list of refused addresses is no error")
	}
}

func FuzzParse(f *testing.F) {
	f.Add("http://payments.shop.svc:8080/healthz?x=y")
	f.Add("tcp://[fd00::1]:5432")
	f.Fuzz(func(t *testing.T, url string) {
		got, err := Parse(url, "")
		if err != nil {
			return
		}
		if got.Host == "" || got.Port == 0 || strings.ContainsAny(got.HostHeader+got.RequestTarget, "\r\n ") {
			t.Errorf("Parse(%q) = %+v", url, got)
		}
	})
}
