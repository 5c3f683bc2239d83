package nstest

import (
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"
)

// Query is one that reached a name server.
type Query struct {
	Name string
	Kind dnsmessage.Type
	TCP  bool
	// Number counts the queries of the server, from 1 on.
	Number int
	ID     uint16
}

// NameServer is a name server of known behaviour in the server's namespace.
type NameServer struct {
	respond func(Query) [][]byte

	lock sync.Mutex
	seen []Query
}

// ServeNames starts one on port 53 of an address, over UDP and TCP, until the test ends. respond returns the datagrams to
// send, none for silence; over TCP each is framed.
func (p *Pair) ServeNames(t *testing.T, address string, respond func(Query) [][]byte) *NameServer {
	t.Helper()
	s := &NameServer{respond: respond}
	s.serveUDP(t, p, address)
	listener := p.ListenWith(t, ListenOptions{Address: address, Port: 53})
	Serve(t, listener, func(connection net.Conn) {
		for {
			var length [2]byte
			if _, err := io.ReadFull(connection, length[:]); err != nil {
				return
			}
			message := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(connection, message); err != nil {
				return
			}
			for _, reply := range s.Answer(message, true) {
				// The client may have gone.
				_, _ = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)) //nolint:gosec // a test's own answer
			}
		}
	})
	return s
}

func (s *NameServer) serveUDP(t *testing.T, p *Pair, address string) {
	t.Helper()
	var packets net.PacketConn
	var err error
	p.InServer(t, func() {
		var config net.ListenConfig
		packets, err = config.ListenPacket(t.Context(), "udp", net.JoinHostPort(address, "53"))
	})
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = packets.Close()
		running.Wait()
	})
	running.Go(func() {
		buffer := make([]byte, 1500)
		for {
			n, from, err := packets.ReadFrom(buffer)
			if err != nil {
				return
			}
			for _, datagram := range s.Answer(buffer[:n], false) {
				// The client may have gone.
				_, _ = packets.WriteTo(datagram, from)
			}
		}
	})
}

// Answer is what the server says to a message, which it counts.
func (s *NameServer) Answer(message []byte, tcp bool) [][]byte {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return nil
	}
	asked, err := p.Question()
	if err != nil {
		return nil
	}
	s.lock.Lock()
	q := Query{asked.Name.String(), asked.Type, tcp, len(s.seen) + 1, header.ID}
	s.seen = append(s.seen, q)
	s.lock.Unlock()
	return s.respond(q)
}

// Queries are those that reached it.
func (s *NameServer) Queries() []Query {
	s.lock.Lock()
	defer s.lock.Unlock()
	return slices.Clone(s.seen)
}

// Reply builds an answer of a server that asks others. Records are written as zone files have them: "NAME TTL TYPE DATA", a
// line each.
func (q Query) Reply(code dnsmessage.RCode, records string) []byte {
	return q.Build(dnsmessage.Header{ID: q.ID, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: code}, records)
}

// Build does so with a header of the test's own.
func (q Query) Build(header dnsmessage.Header, records string) []byte {
	m := dnsmessage.Message{
		Header:    header,
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(q.Name), Type: q.Kind, Class: dnsmessage.ClassINET}},
	}
	for line := range strings.Lines(records) {
		fields := strings.Fields(line)
		timeToLive, err := strconv.ParseUint(fields[1], 10, 32)
		if err != nil {
			panic(err)
		}
		resource := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{
			Name: dnsmessage.MustNewName(fields[0]), Class: dnsmessage.ClassINET, TTL: uint32(timeToLive),
		}}
		switch fields[2] {
		case "A":
			resource.Body = &dnsmessage.AResource{A: netip.MustParseAddr(fields[3]).As4()}
		case "AAAA":
			resource.Body = &dnsmessage.AAAAResource{AAAA: netip.MustParseAddr(fields[3]).As16()}
		case "CNAME":
			resource.Body = &dnsmessage.CNAMEResource{CNAME: dnsmessage.MustNewName(fields[3])}
		}
		m.Answers = append(m.Answers, resource)
	}
	packed, err := m.Pack()
	if err != nil {
		panic(err)
	}
	return packed
}

// Zone answers as a sane server does for one name, that of the server's namespace, with an address of each family.
func Zone(name string) func(Query) [][]byte {
	return func(q Query) [][]byte {
		switch {
		case q.Name != name:
			return [][]byte{q.Reply(dnsmessage.RCodeNameError, "")}
		case q.Kind == dnsmessage.TypeA:
			return [][]byte{q.Reply(dnsmessage.RCodeSuccess, name+" 30 A "+ServerAddress)}
		default:
			return [][]byte{q.Reply(dnsmessage.RCodeSuccess, name+" 20 AAAA "+ServerAddressIPv6)}
		}
	}
}
