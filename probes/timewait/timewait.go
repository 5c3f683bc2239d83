// Package timewait measures who is left with the TIME_WAIT state of a closed connection, for how long, and how many new
// connections per second the local ports allow because of it.
//
// This end is seen in the kernel's list of sockets. The other end is not seen: it holds the state if it sent the first FIN
// and this end was left with nothing.
package timewait

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/netip"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

// Names of the scenarios in a result.
const (
	// ClientFirst: this end closes first; over HTTP after a request.
	ClientFirst = "clientFirst"
	// ServerAfterClose: the server was asked to close, by `Connection: close`.
	ServerAfterClose = "serverAfterClose"
)

const (
	// repetitions of each scenario. A scenario whose repetitions differ has no holder.
	repetitions = 3
	// settle bounds the wait for the closing handshake to end.
	settle = time.Second
	// freeToClose is how long a server that was not asked to close gets to do so first.
	freeToClose = 2 * time.Second
	lookEvery   = 10 * time.Millisecond
)

// Ports counts the local ports that the kernel may choose from, see procnet.FS.AvailablePorts.
type Ports func() (int, error)

// Measure closes connections in each scenario that suits the peer's protocol. The calling goroutine is locked to its
// thread.
func Measure(ctx context.Context, peer *exchange.Peer, ports Ports) result.TimeWait {
	m := &measurement{peer: peer, course: exchange.Course{Began: time.Now()}, seen: map[string][]result.Side{}}
	for range repetitions {
		if !m.turn(ctx, m.clientFirst) || peer.SpeaksHTTP() && !m.turn(ctx, m.serverAfterClose) {
			break
		}
	}
	if peer.SpeaksHTTP() && m.course.Stop == nil {
		m.turn(ctx, m.plain)
	}
	return m.summarise(ports)
}

var (
	errNotClosed   = errors.New("the server had not closed its side a second after this end did, so that nobody held TIME_WAIT yet")
	errServerFirst = errors.New("the server closed first, before this end could")
)

type measurement struct {
	peer   *exchange.Peer
	course exchange.Course
	// seen holds the holders of each scenario, one a repetition.
	seen    map[string][]result.Side
	holder  result.Side
	seconds *float64
}

func (m *measurement) turn(ctx context.Context, step func(context.Context) error) bool {
	if m.course.Stop = m.peer.Turn(ctx, true); m.course.Stop != nil {
		return false
	}
	err := step(ctx)
	m.peer.Note(err)
	m.course.Failed(err)
	return true
}

func (m *measurement) clientFirst(ctx context.Context) error {
	connection, local, err := m.open(ctx)
	if err != nil {
		return err
	}
	if !m.peer.SpeaksHTTP() {
		defer connection.Close()
		return m.hangUp(ctx, connection, local)
	}
	response, _, err := connection.Request(ctx, false)
	// A server that closes by itself leaves no room to be first.
	first := response.Persistent && connection.Ended() == nil
	connection.Close()
	if err != nil || !first {
		return err
	}
	return m.look(ctx, ClientFirst, local, result.SideNone)
}

// hangUp closes first where it is not known what the server has to say.
func (m *measurement) hangUp(ctx context.Context, connection *exchange.Connection, local netip.AddrPort) error {
	switch ended := connection.HangUp(ctx, settle); {
	case errors.Is(ended, io.EOF):
		// If nothing is left here, the other FIN came before ours.
		return m.look(ctx, ClientFirst, local, "")
	case exchange.WasReset(ended):
		m.see(ClientFirst, result.SideNone)
		return nil
	case errors.Is(ended, tcpconn.ErrTimeout):
		// Unless it was the limit of the run that ended the wait.
		if err := m.peer.Pause(ctx, lookEvery); err != nil {
			return err
		}
		m.course.Failed(errNotClosed)
		return nil
	default:
		return ended
	}
}

func (m *measurement) serverAfterClose(ctx context.Context) error {
	connection, local, err := m.open(ctx)
	if err != nil {
		return err
	}
	_, _, err = connection.Request(ctx, true)
	if err != nil {
		connection.Close()
		return err
	}
	other, err := m.waitForEnd(ctx, connection, settle)
	connection.Close()
	if err != nil {
		return err
	}
	return m.look(ctx, ServerAfterClose, local, other)
}

// plain gives the server time to close after a request that did not ask it to.
func (m *measurement) plain(ctx context.Context) error {
	connection, _, err := m.open(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	if _, _, err := connection.Request(ctx, false); err != nil {
		return err
	}
	other, err := m.waitForEnd(ctx, connection, freeToClose)
	if err == nil && other == result.SideServer {
		m.holder = other
	}
	return err
}

func (m *measurement) open(ctx context.Context) (*exchange.Connection, netip.AddrPort, error) {
	connection, err := m.peer.Connect(ctx)
	if err != nil {
		return nil, netip.AddrPort{}, err
	}
	local, err := connection.LocalAddress()
	if err != nil {
		connection.Close()
		return nil, netip.AddrPort{}, err
	}
	return connection, local, nil
}

// waitForEnd waits for the server to end the connection and says who then holds TIME_WAIT: the server after its FIN,
// nobody after a reset or when the time is over.
func (m *measurement) waitForEnd(ctx context.Context, connection *exchange.Connection, limit time.Duration) (result.Side, error) {
	for end := time.Now().Add(limit); time.Now().Before(end); {
		switch ended := connection.Ended(); {
		case errors.Is(ended, io.EOF):
			return result.SideServer, nil
		case exchange.WasReset(ended):
			return result.SideNone, nil
		case ended != nil:
			return result.SideNone, ended
		}
		if err := m.peer.Pause(ctx, lookEvery); err != nil {
			return result.SideNone, err
		}
	}
	return result.SideNone, nil
}

// look finds out what is left of the connection from local at this end, once the closing is over. If it is nothing, the
// holder is other, or the scenario did not come about if other is empty.
func (m *measurement) look(ctx context.Context, scenario string, local netip.AddrPort, other result.Side) error {
	closed := time.Now()
	for time.Since(closed) < settle {
		state, left, err := m.find(local)
		switch {
		case err != nil:
			return err
		case state == sockdiag.TimeWait:
			m.see(scenario, result.SideClient)
			// The timer counts from the last segment, a round trip after the close.
			m.seconds = new(math.Round((left + time.Since(closed)).Seconds()))
			return nil
		case state == 0 && other == "":
			m.course.LastError = errServerFirst
			return nil
		case state == 0:
			m.see(scenario, other)
			return nil
		}
		if err := m.peer.Pause(ctx, lookEvery); err != nil {
			return err
		}
	}
	// Not found out, and no error of the target that should end the run.
	m.course.Failed(errNotClosed)
	return nil
}

func (m *measurement) see(scenario string, holder result.Side) {
	m.seen[scenario] = append(m.seen[scenario], holder)
}

// find returns the state of the socket at local, 0 if there is none, and what is left of its timer.
func (m *measurement) find(local netip.AddrPort) (state sockdiag.State, left time.Duration, err error) {
	// The kernel's list names addresses without zones.
	remote := netip.AddrPortFrom(m.peer.Remote().Addr().WithZone(""), m.peer.Remote().Port())
	err = sockdiag.Dump(sockdiag.Query{States: sockdiag.AllStates}, func(s sockdiag.Socket) {
		if s.Local == local && s.Remote == remote {
			state, left = s.State, s.Expires
		}
	})
	return state, left, err
}

func (m *measurement) summarise(ports Ports) result.TimeWait {
	t := result.TimeWait{Holder: m.holder, Scenarios: map[string]result.Side{}, Seconds: m.seconds}
	for scenario, holders := range m.seen {
		m.course.Samples += len(holders)
		if agree(holders) {
			t.Scenarios[scenario] = holders[0]
		}
	}
	t.Meta = m.course.Conclude()
	if count, err := ports(); err == nil {
		t.Ports = &count
	} else if t.Outcome == result.Measured {
		t.Outcome, t.Cause = result.Failed, fmt.Sprintf("the local ports could not be counted: %v", err)
	}
	if t.Ports != nil && t.Seconds != nil {
		ceiling := float64(*t.Ports) / *t.Seconds
		t.ConnectionsPerSecondCeiling, t.ConnectionsPerSecondSmooth = &ceiling, new(ceiling/2)
	}
	return t
}

func agree(holders []result.Side) bool {
	for _, holder := range holders {
		if holder != holders[0] {
			return false
		}
	}
	return true
}
