package observer

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

const (
	payments = "198.18.0.7:8080"
	bank     = "[fd00::7]:443"
)

// kernel is a list of sockets that a test writes, and whether listing them fails.
type kernel struct {
	sockets []sockdiag.Socket
	err     error
	dumps   int
	// onDump is called at each dump, nil for nothing.
	onDump func()
	// told is what a listener to ends gets to know, lost whether it lost some.
	told []sockdiag.Socket
	lost bool
	// last numbers sockets and their local ports.
	last int
}

func (k *kernel) dump(query sockdiag.Query, visit func(sockdiag.Socket)) error {
	k.dumps++
	if k.onDump != nil {
		k.onDump()
	}
	for _, s := range k.sockets {
		if query.States&sockdiag.StateSet(s.State) != 0 {
			if !query.WithInfo {
				s.Info = nil
			}
			visit(s)
		}
	}
	return k.err
}

func (k *kernel) Read(visit func(sockdiag.Socket)) (bool, error) {
	for _, s := range k.told {
		visit(s)
	}
	k.told = nil
	return k.lost, nil
}

func (k *kernel) Close() error { return nil }

// open writes count connections that were opened here, and returns the place of the first.
func (k *kernel) open(count int, remote string) int {
	first := len(k.sockets)
	for range count {
		k.last++
		k.sockets = append(k.sockets, sockdiag.Socket{
			State: sockdiag.Established, Cookie: uint64(k.last), Remote: netip.MustParseAddrPort(remote),
			Local: netip.AddrPortFrom(netip.MustParseAddr("198.18.0.1"), uint16(33000+k.last)),
			Info:  infoOf(1, 0, 0),
		})
	}
	return first
}

// accept writes count connections that a port accepted.
func (k *kernel) accept(count int, port uint16) {
	for i := k.open(count, payments); i < len(k.sockets); i++ {
		s := &k.sockets[i]
		s.Remote, s.Info = netip.AddrPortFrom(netip.MustParseAddr("198.18.0.99"), s.Local.Port()), infoOf(0, 0, 0)
		s.Local = netip.AddrPortFrom(s.Local.Addr(), port)
	}
}

// timeWait writes count remainders of connections that were opened here.
func (k *kernel) timeWait(count int, remote string, age time.Duration) {
	for i := k.open(count, remote); i < len(k.sockets); i++ {
		k.sockets[i] = remainderOf(k.sockets[i], age)
	}
}

func remainderOf(s sockdiag.Socket, age time.Duration) sockdiag.Socket {
	return sockdiag.Socket{
		State: sockdiag.TimeWait, Timer: sockdiag.TimerTimeWait, Local: s.Local, Remote: s.Remote, Expires: timeWaitLength - age,
	}
}

func (k *kernel) listen(port uint16) {
	k.sockets = append(k.sockets, sockdiag.Socket{
		State: sockdiag.Listen, Local: netip.AddrPortFrom(netip.IPv4Unspecified(), port), SendQueue: 128,
	})
}

// age lets time pass for those in TIME_WAIT.
func (k *kernel) age(by time.Duration) {
	left := k.sockets[:0]
	for _, s := range k.sockets {
		if s.Expires -= by; s.State == sockdiag.TimeWait && s.Expires <= 0 {
			continue
		}
		left = append(left, s)
	}
	k.sockets = left
}

// infoOf is the tcp_info of a connection that sent and received bytes in one segment each, and whose surplus tells who
// opened it.
func infoOf(surplus, sent, received uint64) *tcpinfo.Info {
	segments := func(bytes uint64) *uint32 { return new(uint32(min(1, bytes))) }
	return &tcpinfo.Info{
		BytesAcked: new(sent + surplus), BytesSent: &sent, BytesRetransmitted: new(uint64(0)), BytesReceived: &received,
		Unacked: new(uint32(0)), NotSentBytes: new(uint32(0)), SendMSS: new(uint32(1448)), CongestionWindow: new(uint32(10)),
		RTTMicroseconds: new(uint32(50)), DataSegmentsIn: segments(received), DataSegmentsOut: segments(sent),
		LastDataSentMilliseconds: new(uint32(0)), LastDataReceivedMilliseconds: new(uint32(0)),
		LastAckReceivedMilliseconds: new(uint32(0)), TotalRetrans: new(uint32(0)),
	}
}

func newObserver(t *testing.T, k *kernel) *Observer {
	t.Helper()
	o, err := New(slog.New(slog.DiscardHandler), procnet.New("../procnet/testdata/linux-6.18"), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	o.dump = k.dump
	o.ends.listen = func() (closings, error) { return k, nil }
	return o
}

// scrape returns the samples served, by name with labels.
func scrape(t *testing.T, o *Observer) map[string]string {
	t.Helper()
	return ask(o.Metrics())
}

// ask returns the samples that a handler serves.
func ask(metrics http.Handler) map[string]string {
	recorder := httptest.NewRecorder()
	metrics.ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/", nil))
	samples := map[string]string{}
	for line := range strings.Lines(recorder.Body.String()) {
		if line = strings.TrimSuffix(line, "\n"); !strings.HasPrefix(line, "#") {
			end := strings.LastIndexByte(line, ' ')
			samples[line[:end]] = line[end+1:]
		}
	}
	return samples
}

// check compares samples; a wanted value of "" means that there must be none.
func check(t *testing.T, samples map[string]string, want map[string]string) {
	t.Helper()
	for name, value := range want {
		if got, ok := samples[name]; value == "" && ok || value != "" && got != value {
			t.Errorf("%s = %q, want %q", name, got, value)
		}
	}
}

func of(metric, destination string) string {
	return fmt.Sprintf("connpolicy_observer_%s{destination=%q}", metric, destination)
}
