package procnet

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// fixture holds the files of a namespace of Linux 6.18 that opened five connections to itself over loopback and closed
// three.
const fixture = "testdata/linux-6.18"

func TestCountersOfARealKernel(t *testing.T) {
	proc := New(fixture)
	for _, c := range []struct {
		read func() (Counters, error)
		want Counters
	}{
		{proc.SNMP, Counters{"Tcp.ActiveOpens": 5, "Tcp.PassiveOpens": 5, "Tcp.MaxConn": -1, "Ip.DefaultTTL": 64, "UdpLite.MemErrors": 0}},
		{proc.Netstat, Counters{"TcpExt.TW": 3, "TcpExt.ListenOverflows": 0, "IpExt.InNoRoutes": 0}},
		{proc.Sockstat, Counters{"TCP.inuse": 5, "TCP.tw": 3, "sockets.used": 5}},
	} {
		got, err := c.read()
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range c.want {
			if value, ok := got[name]; !ok || value != want {
				t.Errorf("%s = %d (known: %v), want %d", name, value, ok, want)
			}
		}
	}
}

func TestCountersOfThisKernel(t *testing.T) {
	counters, err := New("/proc").SNMP()
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := counters["Tcp.ActiveOpens"]; !ok {
		t.Error("Tcp.ActiveOpens is missing")
	}
}

func TestUnreadableCountersAreErrors(t *testing.T) {
	if _, err := New(t.TempDir()).SNMP(); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v", err)
	}
	for name, text := range map[string]string{
		"empty":              "",
		"names alone":        "Tcp: ActiveOpens\n",
		"another protocol":   "Tcp: ActiveOpens\nUdp: 1\n",
		"a value is missing": "Tcp: ActiveOpens PassiveOpens\nTcp: 1\n",
		"no number":          "Tcp: ActiveOpens\nTcp: x\n",
		"no protocol":        "Tcp ActiveOpens\nTcp 1\n",
	} {
		if counters, err := parseCounterTable(text); err == nil {
			t.Errorf("%s: %v", name, counters)
		}
	}
	for name, text := range map[string]string{"empty": "", "a value is missing": "TCP: inuse\n", "no number": "TCP: inuse x\n"} {
		if counters, err := parseSockstat(text); err == nil {
			t.Errorf("sockstat, %s: %v", name, counters)
		}
	}
}

func TestSysctls(t *testing.T) {
	proc := New(fixture)
	if value, err := proc.Sysctl(SysctlPortRange); err != nil || value != "32768 60999" {
		t.Errorf("%s = %q, %v", SysctlPortRange, value, err)
	}
	if _, err := proc.Sysctl("net.ipv4.tcp_absent"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a sysctl that does not exist: %v", err)
	}
	values := proc.Sysctls(ConnectionSysctls())
	if len(values) != 3 || values["net.ipv4.tcp_keepalive_time"] != "7200" {
		t.Errorf("of three readable sysctls %v were read", values)
	}
	if reserved, ok := values[SysctlReservedPorts]; !ok || reserved != "" {
		t.Errorf("an empty list is a value: %q, %v", reserved, ok)
	}
	if release, err := proc.KernelRelease(); err != nil || release != "6.18.44" {
		t.Errorf("kernel %q, %v", release, err)
	}
}

func TestAvailablePorts(t *testing.T) {
	if count, err := New(fixture).AvailablePorts(); err != nil || count != 28232 {
		t.Errorf("default range: %d, %v", count, err)
	}
	for _, c := range []struct {
		ports, reserved string
		want, wantFirst int
	}{
		{"1024 65535", "30000-32767", 61744, 30872},
		{"1024 65535", "", 64512, 32256},
		{"1025 65535", "", 64511, 32256},
		{"40000 40009", "40000,40009", 8, 4},
		{"40000 40009", "40000,40002", 8, 3},
		{"40001 40010", "40000,40002", 9, 5},
		{"40000 40009", "39000-40004,40002-40006", 3, 1},
		{"40000 40009", "1-65535", 0, 0},
		{"40000 40000", "", 1, 1},
	} {
		root := t.TempDir()
		directory := filepath.Join(root, "sys/net/ipv4")
		if err := os.MkdirAll(directory, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, value := range map[string]string{"ip_local_port_range": c.ports, "ip_local_reserved_ports": c.reserved} {
			if err := os.WriteFile(filepath.Join(directory, name), []byte(value+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := New(root).AvailablePorts(); err != nil || got != c.want {
			t.Errorf("%s without %q: %d, %v, want %d", c.ports, c.reserved, got, err, c.want)
		}
		if got, err := New(root).FirstPorts(); err != nil || got != c.wantFirst {
			t.Errorf("%s without %q: connect() tries %d first, %v, want %d", c.ports, c.reserved, got, err, c.wantFirst)
		}
	}
}

func TestPortsThatAreNone(t *testing.T) {
	for _, text := range []string{"", "1", "1 2 3", "2 1", "-1 5", "1 65536", "a b"} {
		if got, err := parsePortRange(text); err == nil {
			t.Errorf("parsePortRange(%q) = %v", text, got)
		}
	}
	for _, text := range []string{",", "1,", "5-4", "1-2-3", "x", "70000"} {
		if got, err := parsePortList(text); err == nil {
			t.Errorf("parsePortList(%q) = %v", text, got)
		}
	}
}

func FuzzParseCounterTable(f *testing.F) { fuzzCounters(f, parseCounterTable, "snmp", "netstat") }

func FuzzParseSockstat(f *testing.F) { fuzzCounters(f, parseSockstat, "sockstat") }

// fuzzCounters checks that a parser never fails badly, and that what it accepts has names.
func fuzzCounters(f *testing.F, parse func(string) (Counters, error), seeds ...string) {
	for _, seed := range seeds {
		data, err := os.ReadFile(filepath.Join(fixture, "thread-self/net", seed))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(data))
	}
	f.Fuzz(func(t *testing.T, text string) {
		counters, err := parse(text)
		if err != nil && counters != nil {
			t.Errorf("an error with counters: %v", counters)
		}
	})
}

func FuzzParsePortList(f *testing.F) {
	f.Add("30000-32767,36000")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		ranges, err := parsePortList(text)
		if err != nil {
			return
		}
		for _, r := range ranges {
			if r.Low < 0 || r.High > maximumPort || r.Low > r.High {
				t.Errorf("%q was read as %v", text, r)
			}
		}
		if count := countPorts(PortRange{1, maximumPort}, 1, ranges); count < 0 || count > maximumPort {
			t.Errorf("%d ports are left", count)
		}
	})
}

func FuzzParsePortRange(f *testing.F) {
	f.Add("32768 60999")
	f.Add("1024\t65535")
	f.Fuzz(func(t *testing.T, text string) {
		ports, err := parsePortRange(text)
		if err == nil && (ports.Low < 0 || ports.High > maximumPort || ports.Low > ports.High) {
			t.Errorf("%q was read as %v", text, ports)
		}
	})
}
