package observer

import (
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"reflect"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestPortsTriedLast(t *testing.T) {
	even, odd := &chosenPorts{PortRange: procnet.PortRange{Low: 32768, High: 60999}}, &chosenPorts{PortRange: procnet.PortRange{Low: 1025, High: 65535}}
	for _, c := range []struct {
		chosen *chosenPorts
		port   uint16
		want   bool
	}{
		{even, 32768, false}, {even, 32769, true}, {even, 60999, true}, {even, 61001, false}, {even, 443, false},
		{odd, 1025, false}, {odd, 1026, true}, {odd, 65534, true}, {odd, 65535, false}, {odd, 80, false},
		{nil, 32769, false},
	} {
		if got := c.chosen.triedLast(c.port); got != c.want {
			t.Errorf("%v, port %d: %v", c.chosen, c.port, got)
		}
	}
}

// Parity tells nothing from when more than half of the ports were held until none of the other parity is left, nor where
// the range is not known.
func TestParityTellsNothingAfterConnectTookBoth(t *testing.T) {
	chosen := &chosenPorts{first: new(100)}
	var ports portUse
	for i, c := range []struct {
		chosen      *chosenPorts
		held, other int
		want        bool
	}{
		{chosen, 100, 100, true},
		{chosen, 101, 1, false},
		{chosen, 30, 1, false}, // still from before
		{chosen, 29, 0, true},
		{chosen, 30, 20, true},
		{nil, 30, 20, false},
		{&chosenPorts{}, 30, 20, false},
		{chosen, 30, 20, true},
	} {
		ports.held, ports.otherParity = c.held, c.other
		if ports.noteParity(c.chosen); ports.tells() != c.want {
			t.Errorf("census %d: tells %v", i, ports.tells())
		}
	}
}

// Sockets of all states that hold a port count, those that were accepted do not, and a sum is unknown if a part is.
func TestPortsOfOtherParity(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.listen(8080)
		k.accept(5, 8080)
		k.open(7, payments)                     // 33006 to 33012: three odd ones
		k.timeWait(4, payments, 30*time.Second) // 33013 to 33016: two
		for i := k.open(3, bank); i < len(k.sockets); i++ {
			k.sockets[i].Local = netip.AddrPortFrom(k.sockets[i].Local.Addr(), k.sockets[i].Local.Port()-2000) // outside of the range
		}
		o := newObserver(t, k)
		check(t, scrape(t, o), map[string]string{
			of("ports_in_use", payments):          "11",
			of("ports_of_other_parity", payments): "5",
			of("ports_of_other_parity", bank):     "0",
		})
	})
	sum := &group{}
	sum.merge(&group{ports: portUse{parity: parity{otherParity: 2}}})
	if sum.merge(&group{ports: portUse{parity: parity{otherParity: 3}}}); !sum.ports.tells() || sum.ports.otherParity != 5 {
		t.Errorf("the sum is %+v", sum.ports.parity)
	}
	if sum.merge(&group{ports: portUse{parity: parity{otherParity: 3, spilled: true}}}); sum.ports.tells() {
		t.Error("the sum is known although a part is not")
	}
}

// A client that binds to its address before it connects gives itself away, in a range with either low end; one that only
// connects does not, nor one with IP_BIND_ADDRESS_NO_PORT. Beyond half of the range connect() takes both parities.
func TestParityOfARealKernel(t *testing.T) {
	for _, portRange := range []string{"40000 40199", "40001 40200"} {
		t.Run(portRange, func(t *testing.T) {
			pair := nstest.New(t)
			pair.Sysctl(t, "net.ipv4.ip_local_port_range", portRange)
			bound, connected, late, many := pair.Listen(t), pair.Listen(t), pair.Listen(t), pair.Listen(t)
			for _, listener := range []net.Listener{bound, connected, late, many} {
				nstest.Follow(t, listener)
			}
			pair.InClient(t, func() {
				own := &net.TCPAddr{IP: net.ParseIP(nstest.ClientAddress)}
				dialTimes(t, &net.Dialer{LocalAddr: own}, bound, 20)
				dialTimes(t, &net.Dialer{}, connected, 40)
				dialTimes(t, &net.Dialer{LocalAddr: own, Control: withoutPort}, late, 40)
				dialTimes(t, &net.Dialer{}, many, 130)
				o, err := New(slog.New(slog.DiscardHandler), procnet.New("/proc"), 2*time.Second)
				if err != nil {
					t.Error(err)
					return
				}
				o.lookAt(true, false)
				told := map[string]*int{}
				for _, d := range o.observation().Destinations {
					told[d.Address] = d.PortsOfOtherParity
				}
				want := map[string]*int{
					bound.Addr().String(): new(20), connected.Addr().String(): new(0), late.Addr().String(): new(0), many.Addr().String(): nil,
				}
				if !reflect.DeepEqual(told, want) {
					t.Errorf("%s", inWords(o.observation().Destinations))
				}
			})
		})
	}
}

func inWords(destinations []result.Destination) string {
	text := ""
	for _, d := range destinations {
		other := "unknown"
		if d.PortsOfOtherParity != nil {
			other = fmt.Sprint(*d.PortsOfOtherParity)
		}
		text += fmt.Sprintf("%s: %d ports, %s of the other parity\n", d.Address, d.PortsInUse, other)
	}
	return text
}

// withoutPort has bind() leave the choice of the port to connect().
func withoutPort(_, _ string, connection syscall.RawConn) error {
	var failed error
	err := connection.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.SOL_IP, unix.IP_BIND_ADDRESS_NO_PORT, 1)
	})
	if err != nil {
		return err
	}
	return failed
}

// dialTimes opens connections that stay open until the test ends.
func dialTimes(t *testing.T, dialer *net.Dialer, to net.Listener, times int) {
	t.Helper()
	for range times {
		connection, err := dialer.DialContext(t.Context(), "tcp", to.Addr().String())
		if err != nil {
			t.Error(err)
			return
		}
		t.Cleanup(func() { connection.Close() })
	}
}
