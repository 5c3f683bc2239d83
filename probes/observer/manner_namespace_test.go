package observer

import (
	"errors"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// parting ends a connection one way: here is the end in the observed namespace.
type parting struct {
	t          *testing.T
	link       *nstest.Link
	here, peer *net.TCPConn
	// look has the observer look at the sockets.
	look func()
}

func (p parting) send(from, to *net.TCPConn) {
	p.t.Helper()
	exact := make([]byte, 4)
	if _, err := from.Write(exact); err != nil {
		p.t.Error(err)
	}
	if to != nil {
		if _, err := io.ReadFull(to, exact); err != nil {
			p.t.Error(err)
		}
	}
}

// exchange sends a request of the end that opened the connection, or of the other, and answers it.
func (p parting) exchange() {
	p.send(p.here, p.peer)
	p.send(p.peer, p.here)
}

// reset closes an end with SO_LINGER 0.
func (p parting) reset(end *net.TCPConn) {
	p.t.Helper()
	if err := end.SetLinger(0); err != nil {
		p.t.Error(err)
	}
	end.Close()
}

// awaitError reads until the connection ends with this error.
func (p parting) awaitError(want error) {
	p.t.Helper()
	if err := p.here.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Error(err)
	}
	if n, err := p.here.Read(make([]byte, 1)); n != 0 || !errors.Is(err, want) {
		p.t.Errorf("read %d bytes and %v, want %v", n, err, want)
	}
}

// awaitState waits until this end is in a state of TCP.
func (p parting) awaitState(want sockdiag.State) {
	p.t.Helper()
	p.await(func(i tcpinfo.Info) bool { return *i.State == uint8(want) })
}

// await waits until the kernel tells this of this end.
func (p parting) await(of func(tcpinfo.Info) bool) {
	p.t.Helper()
	raw, err := p.here.SyscallConn()
	if err != nil {
		p.t.Error(err)
		return
	}
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		var info tcpinfo.Info
		var infoErr error
		if err := raw.Control(func(fd uintptr) { info, infoErr = tcpinfo.Get(int(fd)) }); err != nil || infoErr != nil {
			p.t.Error(err, infoErr)
			return
		}
		if of(info) {
			return
		}
	}
	p.t.Error("it never came to that")
}

// giveUpSoon has the kernel end the connection when data has waited this long for an answer.
func (p parting) giveUpSoon() {
	p.t.Helper()
	raw, err := p.here.SyscallConn()
	if err != nil {
		p.t.Error(err)
		return
	}
	const milliseconds = 700
	var optionErr error
	if err := raw.Control(func(fd uintptr) {
		optionErr = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, milliseconds)
	}); err != nil || optionErr != nil {
		p.t.Error(err, optionErr)
	}
}

// probePeer has the kernel probe the silent peer after a second, and so many times.
func (p parting) probePeer(times int) {
	p.t.Helper()
	if err := p.here.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: time.Second, Interval: time.Second, Count: times}); err != nil {
		p.t.Error(err)
	}
}

// silence drops all that either end sends from now on.
func (p parting) silence() { p.link.BlackHole(nstest.ToServer | nstest.ToClient) }

// forget has the hop between the ends answer whatever comes with a reset.
func (p parting) forget() {
	p.link.Change(func(o *nstest.LinkOptions) { o.Middlebox.Forgets = nstest.ResetLater })
	p.link.Forget(0)
}

// tick lets the kernel's clock go on, by which it dates what was sent and received.
func tick() { time.Sleep(30 * time.Millisecond) }

// wayToPart is a way to end a connection. resets is how many of them the kernel counts as Tcp.EstabResets.
type wayToPart struct {
	name   string
	part   func(parting)
	want   result.Ends
	resets int64
	// lasts: it takes seconds, and is tried from one side alone.
	lasts bool
}

func waysToPart() []wayToPart {
	return []wayToPart{
		{"the peer closes first", func(p parting) {
			p.exchange()
			p.peer.Close()
			p.awaitError(io.EOF)
			p.here.Close()
		}, result.Ends{Orderly: 1}, 0, false},
		{"this side closes first", func(p parting) {
			p.exchange()
			p.here.Close()
			p.peer.Close()
		}, result.Ends{Orderly: 1}, 0, false},
		{"the peer closes first, unnoticed", func(p parting) {
			p.exchange()
			p.peer.Close()
			p.awaitState(sockdiag.CloseWait)
			p.here.Close()
		}, result.Ends{Orderly: 1}, 0, false},
		{"the peer closes instead of answering", func(p parting) {
			p.exchange()
			tick()
			p.send(p.here, p.peer)
			p.peer.Close()
			p.awaitError(io.EOF)
			p.here.Close()
		}, result.Ends{Orderly: 1, Unanswered: 1}, 0, false},
		{"the peer closes instead of answering the first request", func(p parting) {
			p.send(p.here, p.peer)
			p.peer.Close()
			p.awaitError(io.EOF)
			p.here.Close()
		}, result.Ends{Orderly: 1, Unanswered: 1}, 0, false},
		{"this side does not wait for the answer", func(p parting) {
			p.send(p.here, p.peer)
			p.here.Close()
			p.peer.Close()
		}, result.Ends{Orderly: 1, Unanswered: 1}, 0, false},
		{"the peer has closed and is gone", func(p parting) {
			p.exchange()
			p.giveUpSoon()
			p.peer.Close()
			p.awaitState(sockdiag.CloseWait)
			p.look()
			p.silence()
			p.here.Close()
		}, result.Ends{Orderly: 1}, 0, false},
		{"a hop has forgotten it, and this side closes", func(p parting) {
			p.exchange()
			p.forget()
			p.here.Close()
		}, result.Ends{Orderly: 1}, 0, false},
		{"a farewell by shutdown, and the process keeps the socket", func(p parting) {
			p.exchange()
			p.look()
			p.peer.Close()
			p.awaitError(io.EOF)
			if err := p.here.CloseWrite(); err != nil {
				p.t.Error(err)
			}
		}, result.Ends{Orderly: 1}, 0, true},
		{"the peer resets", func(p parting) {
			p.exchange()
			p.reset(p.peer)
			p.awaitError(unix.ECONNRESET)
			p.here.Close()
		}, result.Ends{Reset: 1}, 1, false},
		{"the peer resets, and the process keeps the socket", func(p parting) {
			p.exchange()
			p.look()
			p.reset(p.peer)
		}, result.Ends{Reset: 1}, 1, true},
		{"the peer resets with data under way", func(p parting) {
			p.exchange()
			p.link.BlackHole(directionTo(p.here))
			p.send(p.here, nil)
			p.await(func(i tcpinfo.Info) bool { return *i.Unacked > 0 })
			p.link.BlackHole(0)
			p.reset(p.peer)
			p.awaitState(sockdiag.Close)
			p.here.Close()
		}, result.Ends{Reset: 1}, 1, false},
		{"the peer resets before its last data is read", func(p parting) {
			p.exchange()
			p.send(p.peer, nil)
			p.await(func(i tcpinfo.Info) bool { return *i.BytesReceived == 8 })
			p.reset(p.peer)
			p.awaitState(sockdiag.Close)
			p.here.Close()
		}, result.Ends{Reset: 1}, 1, false},
		{"the peer has closed and resets what comes", func(p parting) {
			p.exchange()
			p.peer.Close()
			p.awaitState(sockdiag.CloseWait)
			p.send(p.here, nil)
			p.awaitState(sockdiag.Close)
			p.here.Close()
		}, result.Ends{Reset: 1}, 1, false},
		{"a hop has forgotten it and resets the probe of keepalive", func(p parting) {
			p.exchange()
			p.probePeer(3)
			p.forget()
			p.awaitError(unix.ECONNRESET)
			p.here.Close()
		}, result.Ends{Reset: 1}, 1, true},
		{"this side closes with data unread", func(p parting) {
			p.exchange()
			p.send(p.peer, nil)
			p.await(func(i tcpinfo.Info) bool { return *i.BytesReceived == 8 })
			p.here.Close()
		}, result.Ends{ResetHere: 1}, 1, false},
		{"this side closes with one byte unread", func(p parting) {
			p.exchange()
			if _, err := p.peer.Write([]byte{0}); err != nil {
				p.t.Error(err)
			}
			p.await(func(i tcpinfo.Info) bool { return *i.BytesReceived == 5 })
			p.here.Close()
		}, result.Ends{ResetHere: 1}, 1, false},
		{"this side closes with SO_LINGER 0", func(p parting) {
			p.exchange()
			p.look()
			p.reset(p.here)
		}, result.Ends{ResetHere: 1}, 1, false},
		{"the peer falls silent with data under way", func(p parting) {
			p.exchange()
			p.giveUpSoon()
			p.silence()
			p.send(p.here, nil)
			p.awaitError(unix.ETIMEDOUT)
			p.here.Close()
		}, result.Ends{Silent: 1}, 1, false},
		{"the peer falls silent, as keepalive notices", func(p parting) {
			p.exchange()
			p.probePeer(1)
			p.silence()
			p.awaitError(unix.ETIMEDOUT)
			p.here.Close()
		}, result.Ends{Silent: 1}, 1, true},
		{"the peer does not hear the farewell", func(p parting) {
			p.exchange()
			p.giveUpSoon()
			p.silence()
			p.here.Close()
		}, result.Ends{Silent: 1}, 0, false},
	}
}

// directionTo is the way of packets to an end.
func directionTo(end *net.TCPConn) nstest.Direction {
	client := []string{nstest.ClientAddress, nstest.ClientAddressIPv6}
	if slices.Contains(client, end.LocalAddr().(*net.TCPAddr).IP.String()) {
		return nstest.ToClient
	}
	return nstest.ToServer
}

// Each way to end a connection is told by its manner, of connections that were opened here and of accepted ones, and the
// kernel's counter of resets agrees.
func TestMannersOfEnding(t *testing.T) {
	for _, c := range waysToPart() {
		for _, side := range []struct {
			name, address string
			accepted      bool
		}{
			{"opened", nstest.ServerAddress, false},
			{"opened by IPv6", nstest.ServerAddressIPv6, false},
			{"accepted", nstest.ServerAddress, true},
		} {
			if c.lasts && (side.accepted || side.address != nstest.ServerAddress) {
				continue
			}
			t.Run(c.name+"/"+side.name, func(t *testing.T) {
				t.Parallel()
				link := nstest.NewLink(t, nstest.LinkOptions{})
				listener := link.ListenWith(t, nstest.ListenOptions{Address: side.address})
				within := link.InClient
				if side.accepted {
					within = link.InServer
				}
				within(t, func() {
					o := inside(t)
					client, server := meet(t, link, listener)
					defer client.Close()
					defer server.Close()
					p := parting{t: t, link: link, here: client, peer: server, look: func() { o.lookAt(false, false) }}
					if side.accepted {
						p.here, p.peer = server, client
					}
					c.part(p)
					seen := awaitEnds(t, o)
					of := acceptedOrOpened(t, seen, listener.Addr().String(), side.accepted)
					if of.Ends == nil || *of.Ends != c.want || of.Closed != 1 || of.Opened != 1 {
						t.Errorf("ended %+v of %d closed of %d, want %+v", of.Ends, of.Closed, of.Opened, c.want)
					}
					if resets := seen.CounterChanges["Tcp.EstabResets"]; resets != c.resets {
						t.Errorf("the kernel counts %d resets, want %d", resets, c.resets)
					}
				})
			})
		}
	}
}

// meet connects the client to a listener and returns both ends.
func meet(t *testing.T, link *nstest.Link, listener net.Listener) (client, server *net.TCPConn) {
	t.Helper()
	link.InClient(t, func() { client = dial(t, listener.Addr().String()) })
	accepted, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return client, accepted.(*net.TCPConn)
}

// awaitEnds looks until the manner of an end is known, and once more.
func awaitEnds(t *testing.T, o *Observer) result.Observation {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		o.lookAt(false, false)
		known := false
		o.ledger.eachGroup(func(g *group) { known = known || g.total.ends != result.Ends{} })
		if known {
			break
		}
	}
	return finish(t, o)
}

// acceptedOrOpened returns the connections that a listener accepted, or those that were opened to it.
func acceptedOrOpened(t *testing.T, seen result.Observation, address string, accepted bool) result.Connections {
	t.Helper()
	if !accepted {
		return towards(t, seen, address)
	}
	for _, l := range seen.Listeners {
		if l.Address == address && l.Accepted != nil {
			return *l.Accepted
		}
	}
	t.Errorf("no listener %s among %+v", address, seen.Listeners)
	return result.Connections{}
}
