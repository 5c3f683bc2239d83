package result

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// full is a result with every measurement, as a run makes it.
func full() Result {
	distribution := func() *Distribution {
		return &Distribution{Min: 61.5, P50: 93.25, P90: 120, P99: 301.1, Max: 410, P50Low: new(90.5), P50High: new(95.75)}
	}
	return Result{
		Version:        Version,
		Target:         Target{URL: "http://payments.shop.svc:8080/healthz", Protocol: "HTTP", Address: "198.18.0.7:8080"},
		Host:           Host{Kernel: "6.18.44", Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.ip_local_reserved_ports": ""}},
		Spent:          Spent{Connections: 111, Requests: 1100, BytesSent: 99000, BytesReceived: 143000},
		ElapsedSeconds: 29.98,
		Measurements: Measurements{
			Handshake: &Handshake{
				Meta:                Meta{Outcome: Measured, Samples: 67, ElapsedSeconds: 1.4},
				ConnectMicroseconds: distribution(), KernelRTTMicroseconds: distribution(),
				SynRetransmissions: new(0), SetupSharePercent: new(32.5),
			},
			Reuse: &Reuse{
				Meta: Meta{Outcome: Failed, Cause: "stopped by SIGTERM", Samples: 40, ElapsedSeconds: 2},
				Kept: new(true), RequestsPerConnection: new(100), RequestsAtLeast: new(100), CloseCause: CloseAnnounced,
				KeepAliveHeader: &KeepAliveHeader{TimeoutSeconds: new(5)},
				NewMicroseconds: distribution(), ReusedMicroseconds: distribution(),
			},
			TimeWait: &TimeWait{
				Meta: Meta{Outcome: Measured, Samples: 6}, Holder: SideServer,
				Scenarios: map[string]Side{"clientFirst": SideClient, "serverAfterClose": SideServer},
				Seconds:   new(60.0), Ports: new(28232), ConnectionsPerSecondCeiling: new(470.5), ConnectionsPerSecondSmooth: new(235.2),
			},
		},
	}
}

func TestMessageRoundTrip(t *testing.T) {
	want := full()
	message, err := EncodeMessage(want, 4096)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMessage(message)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("decoded\n%+v\nwant\n%+v", got, want)
	}
	if len(got.Dropped) != 0 {
		t.Errorf("dropped %v although everything fits", got.Dropped)
	}
}

// A server may answer with any number of status codes; that costs nothing but them.
func TestManyStatusesAreDroppedFirst(t *testing.T) {
	r := full()
	r.Statuses = map[string]int{}
	for code := range 700 {
		r.Statuses[strconv.Itoa(100+code)] = 1
	}
	message, err := EncodeMessage(r, 4096)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMessage(message)
	if err != nil || got.Statuses != nil || !slices.Equal(got.Dropped, []string{"statuses"}) || !reflect.DeepEqual(got.Measurements, r.Measurements) {
		t.Errorf("%v: dropped %v of %+v", err, got.Dropped, got)
	}
	r.Statuses = map[string]int{"200": 7, "503": 1}
	if message, err = EncodeMessage(r, 1100); err != nil {
		t.Fatal(err)
	}
	if got, err := DecodeMessage(message); err != nil || len(got.Statuses) != 2 || len(got.Dropped) == 0 {
		t.Errorf("%v: dropped %v, statuses %v", err, got.Dropped, got.Statuses)
	}
}

// For every budget the message fits it, says what was left out, and the caller's result is untouched.
func TestMessageFitsEveryBudget(t *testing.T) {
	whole, err := EncodeMessage(full(), 1<<16)
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for budget := 0; budget <= len(whole); budget++ {
		r := full()
		message, err := EncodeMessage(r, budget)
		if !reflect.DeepEqual(r, full()) {
			t.Fatalf("budget %d: EncodeMessage changed its argument", budget)
		}
		if errors.Is(err, ErrBudget) {
			seen["none"] = true
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(message) > budget {
			t.Fatalf("budget %d: %d bytes", budget, len(message))
		}
		got, err := DecodeMessage(message)
		if err != nil {
			t.Fatalf("budget %d: %v", budget, err)
		}
		seen[strings.Join(got.Dropped, ",")] = true
		for name, missing := range map[string]bool{
			"sysctls":   got.Host.Sysctls == nil,
			"timeWait":  got.Measurements.TimeWait == nil,
			"reuse":     got.Measurements.Reuse == nil,
			"handshake": got.Measurements.Handshake == nil,
		} {
			named := false
			for _, dropped := range got.Dropped {
				named = named || dropped == name
			}
			if missing != named {
				t.Fatalf("budget %d: %s is missing: %v, named: %v", budget, name, missing, named)
			}
		}
	}
	for _, want := range []string{"none", "sysctls,timeWait,reuse,handshake", "sysctls,timeWait,reuse", "sysctls,timeWait", "sysctls", ""} {
		if !seen[want] {
			t.Errorf("no budget led to dropping %q; seen: %v", want, seen)
		}
	}
}

// All that is measured of an HTTPS target when nothing is named fits what the kubelet keeps.
func TestDefaultMeasurementsFit(t *testing.T) {
	distribution := func() *Distribution {
		return &Distribution{Min: 1234.5678, P50: 23456.789, P90: 34567.891, P99: 456789.12, Max: 5678912.3, P50Low: new(22345.678), P50High: new(24567.891)}
	}
	meta := Meta{Outcome: Measured, Samples: 12345, Errors: 12, ElapsedSeconds: 12.345678}
	r := full()
	r.Statuses = map[string]int{"200": 12345, "503": 123}
	r.Measurements.Handshake.TLS = &TLS{
		Version: "TLS 1.3", ALPN: "http/1.1", FullMicroseconds: distribution(), ResumedMicroseconds: distribution(),
		ResumptionOffered: new(true), Resumed: new(123), ResumptionsTried: new(123), CertificateExpires: "2027-01-31T00:00:00Z", CertificateBegins: "2026-11-02T00:00:00Z",
	}
	r.Measurements.DNS = &DNS{
		Meta: meta, ResolveMicroseconds: distribution(), NeededMicroseconds: distribution(), SearchListMicroseconds: new(12345.678), FullName: "payments.shop.svc.cluster.local.",
		QueriesPerName: new(6), QueriesNeeded: new(2), Queries: new(180), Lost: new(12), Negative: new(80), Rejected: new(12), Truncated: new(0), Ignored: new(0),
		TimeToLiveSeconds: new(30), Aliases: new(0), Servers: []string{"10.96.0.10"}, Ndots: new(5), TimeoutSeconds: new(5), Attempts: new(2),
		Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local", "eu-west-1.compute.internal"},
	}
	r.Measurements.Identity = &Identity{
		Meta: meta, ClientLocal: "10.244.101.102:40000", ClientRemote: "10.96.101.102:8443", ServerLocal: "10.244.103.104:8443", ServerRemote: "10.244.101.102:40000",
		SourceTranslated: new(false), DestinationTranslated: new(true),
	}
	ladder := &Ladder{}
	for i := range 15 {
		ladder.Rungs = append(ladder.Rungs, Rung{Seconds: 12.5 * float64(i+1), Alive: 1})
	}
	ladder.Rungs = append(ladder.Rungs, Rung{Seconds: 350.1, FIN: 1, RST: 2, BlackHole: 3, Unknown: 4}, Rung{Seconds: 360.2, BlackHole: 12})
	r.Measurements.Idle = &Idle{
		Meta: meta, Cut: new(true), How: CutMixed, AfterSecondsAtLeast: new(340.1), AfterSecondsAtMost: new(350.1), SurvivedSeconds: new(340.1),
		SurvivedOf: &Count{Got: 12, Of: 15}, KeepaliveHelps: new(false), KeepaliveLadder: ladder, RequestLadder: ladder, LookedSeconds: 360.2,
	}
	r.Measurements.SlowStart = &SlowStart{
		Meta: meta, InitialWindowSegments: new(10.0), RoundTripMicroseconds: new(20123.4), ColdMicroseconds: distribution(), WarmMicroseconds: distribution(),
		ColdRounds: new(5), Bytes: new(int64(1234567)), WindowLostAfterIdle: new(true), AfterIdleSegments: new(10.0), IdleSeconds: new(1.2345),
	}
	r.Measurements.SmallWrites = &SmallWrites{
		Meta: meta, StallMicroseconds: new(40123.4), Side: SideServer, DelayedMicroseconds: distribution(), QuickMicroseconds: distribution(), Segments: new(12),
	}
	mustFit(t, r)
}

// mustFit fails the test unless all of a result fits into a termination message.
func mustFit(t *testing.T, r Result) {
	t.Helper()
	message, err := EncodeMessage(r, 4096)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMessage(message)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Dropped) > 0 {
		t.Errorf("dropped %v", got.Dropped)
	}
	t.Logf("%d bytes", len(message))
}

// The same of a WebSocket target over TLS.
func TestDefaultMeasurementsOfWebSocketFit(t *testing.T) {
	distribution := func() *Distribution {
		return &Distribution{Min: 1234.5678, P50: 23456.789, P90: 34567.891, P99: 456789.12, Max: 5678912.3, P50Low: new(22345.678), P50High: new(24567.891)}
	}
	meta := Meta{Outcome: Measured, Samples: 12345, Errors: 12, ElapsedSeconds: 12.345678}
	r := full()
	r.Measurements.Reuse = nil
	r.Statuses = map[string]int{"101": 12345}
	r.Measurements.Handshake.TLS = &TLS{
		Version: "TLS 1.3", ALPN: "http/1.1", FullMicroseconds: distribution(), ResumedMicroseconds: distribution(),
		ResumptionOffered: new(true), Resumed: new(123), ResumptionsTried: new(123), CertificateExpires: "2027-01-31T00:00:00Z",
	}
	r.Measurements.Identity = &Identity{Meta: meta, ClientLocal: "[2001:db8:1234:5678::1]:40000", ClientRemote: "[2001:db8:1234:5678::2]:8080"}
	ladder := &Ladder{}
	for i := range 15 {
		ladder.Rungs = append(ladder.Rungs, Rung{Seconds: 12.5 * float64(i+1), Alive: 1})
	}
	ladder.Rungs = append(ladder.Rungs, Rung{Seconds: 350.1, FIN: 1, RST: 2, BlackHole: 3, Unknown: 4}, Rung{Seconds: 360.2, BlackHole: 12})
	r.Measurements.WebSocket = &WebSocket{
		Meta: meta, Upgraded: new(true), Status: new(101), HandshakeMicroseconds: distribution(), Subprotocol: "graphql-transport-ws",
		Extensions: []string{"permessage-deflate; client_no_context_ta…"}, Echo: new(true), EchoMicroseconds: distribution(), FullDuplex: new(true),
		Pong: new(true), PongMicroseconds: distribution(), CloseHandshake: new(true), CloseStatus: new(1000), ServerMessages: new(12345), ServerPings: new(12345),
		Idle: &Idle{
			Meta: meta, Cut: new(true), How: CutMixed, AfterSecondsAtLeast: new(340.1), AfterSecondsAtMost: new(350.1), SurvivedSeconds: new(340.1),
			SurvivedOf: &Count{Got: 12, Of: 15}, KeepaliveHelps: new(false), PingHelps: new(true), KeepaliveLadder: ladder, RequestLadder: ladder, LookedSeconds: 360.2,
		},
	}
	mustFit(t, r)
}

// A namespace may reserve so many ports that their list alone is longer than a termination message.
func TestLongSettingsDoNotCostTheMeasurements(t *testing.T) {
	r := full()
	r.Host.Sysctls["net.ipv4.ip_local_reserved_ports"] = strings.Repeat("30001,", 2000)
	message, err := EncodeMessage(r, 4096)
	if err != nil {
		t.Fatal(err)
	}
	got, err := DecodeMessage(message)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got.Measurements, r.Measurements) || !reflect.DeepEqual(got.Dropped, []string{"sysctls"}) {
		t.Errorf("dropped %v, left %+v", got.Dropped, got.Measurements)
	}
}

// The kubelet cuts the tail of a long message.
func TestCutMessagesAreNoticed(t *testing.T) {
	message, err := EncodeMessage(full(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	headerLength := bytes.IndexByte(message, '\n') + 1
	for length := range len(message) {
		_, err := DecodeMessage(message[:length])
		want := ErrTruncated
		if length < headerLength {
			want = ErrNoResult
		}
		if !errors.Is(err, want) {
			t.Fatalf("cut to %d of %d bytes: %v, want %v", length, len(message), err, want)
		}
	}
}

func TestForeignMessages(t *testing.T) {
	envelope := func(body string) string {
		return fmt.Sprintf("%s %d %08x\n%s", messageMagic, len(body), crc32.ChecksumIEEE([]byte(body)), body)
	}
	for name, c := range map[string]struct {
		message string
		want    error
	}{
		"empty":             {"", ErrNoResult},
		"a crash":           {"panic: runtime error\n\ngoroutine 1\n", ErrNoResult},
		"a negative length": {messageMagic + " -1 00000000\n{}", ErrNoResult},
		"another checksum":  {messageMagic + " 2 00000000\n{}", ErrCorrupt},
		"no JSON":           {envelope("{"), ErrCorrupt},
		"another version":   {envelope(`{"version":"connpolicy.dev/probe/v2"}`), ErrVersion},
		"no version":        {envelope(`{}`), ErrVersion},
	} {
		if _, err := DecodeMessage([]byte(c.message)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	flipped, err := EncodeMessage(full(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	flipped[len(flipped)-5] ^= 1
	if _, err := DecodeMessage(flipped); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a flipped bit: %v", err)
	}
}

// What the kubelet appends behind the message does no harm.
func TestTextBehindTheMessageIsIgnored(t *testing.T) {
	message, err := EncodeMessage(full(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := DecodeMessage(append(message, "\nterminated"...)); err != nil {
		t.Error(err)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	message, err := EncodeMessage(full(), 4096)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(message)
	f.Add(message[:len(message)/2])
	f.Add([]byte("panic: runtime error\n"))
	f.Add([]byte(messageMagic + " 2 99914b93\n{}"))
	f.Fuzz(func(t *testing.T, message []byte) {
		r, err := DecodeMessage(message)
		if err != nil {
			if !errors.Is(err, ErrNoResult) && !errors.Is(err, ErrTruncated) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrVersion) {
				t.Errorf("an error of no known kind: %v", err)
			}
			return
		}
		// What was accepted can be written and read again.
		again, err := EncodeMessage(r, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeMessage(again); err != nil {
			t.Errorf("an accepted message does not survive: %v", err)
		}
	})
}
