package dns_test

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/connpolicy/connpolicy/probes/dns"
	"github.com/connpolicy/connpolicy/probes/nstest"
)

// query is one that reached a server.
type query struct {
	name string
	kind dnsmessage.Type
	tcp  bool
	// number counts the queries of the server, from 1 on.
	number int
	id     uint16
}

// nameServer is a server of known behaviour in the server's namespace. respond returns the datagrams to send, none for
// silence; over TCP they are framed.
type nameServer struct {
	respond func(query) [][]byte

	lock sync.Mutex
	seen []query
}

// serveNames starts one on port 53 of an address, over UDP and TCP.
func serveNames(t *testing.T, pair *nstest.Pair, address string, respond func(query) [][]byte) *nameServer {
	t.Helper()
	s := &nameServer{respond: respond}
	var packets net.PacketConn
	var err error
	pair.InServer(t, func() {
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
			for _, datagram := range s.answer(buffer[:n], false) {
				_, _ = packets.WriteTo(datagram, from)
			}
		}
	})
	nstest.Serve(t, pair.ListenWith(t, nstest.ListenOptions{Address: address, Port: 53}), func(connection net.Conn) {
		for {
			var length [2]byte
			if _, err := io.ReadFull(connection, length[:]); err != nil {
				return
			}
			message := make([]byte, binary.BigEndian.Uint16(length[:]))
			if _, err := io.ReadFull(connection, message); err != nil {
				return
			}
			for _, reply := range s.answer(message, true) {
				_, _ = connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
			}
		}
	})
	return s
}

func (s *nameServer) answer(message []byte, tcp bool) [][]byte {
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
	q := query{asked.Name.String(), asked.Type, tcp, len(s.seen) + 1, header.ID}
	s.seen = append(s.seen, q)
	s.lock.Unlock()
	return s.respond(q)
}

// queries are those that reached it.
func (s *nameServer) queries() []query {
	s.lock.Lock()
	defer s.lock.Unlock()
	return append([]query(nil), s.seen...)
}

// reply builds an answer. Records are written as zone files have them: "NAME TTL TYPE DATA", separated by newlines.
func (q query) reply(code dnsmessage.RCode, records string) []byte {
	return q.build(dnsmessage.Header{ID: q.id, Response: true, RecursionDesired: true, RecursionAvailable: true, RCode: code}, records)
}

func (q query) build(header dnsmessage.Header, records string) []byte {
	m := dnsmessage.Message{
		Header:    header,
		Questions: []dnsmessage.Question{{Name: dnsmessage.MustNewName(q.name), Type: q.kind, Class: dnsmessage.ClassINET}},
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

// zone answers as a sane server does, for the one name given, with an address of each family.
func zone(name string) func(query) [][]byte {
	return func(q query) [][]byte {
		switch {
		case q.name != name:
			return [][]byte{q.reply(dnsmessage.RCodeNameError, "")}
		case q.kind == dnsmessage.TypeA:
			return [][]byte{q.reply(dnsmessage.RCodeSuccess, name+" 30 A 198.18.0.7")}
		default:
			return [][]byte{q.reply(dnsmessage.RCodeSuccess, name+" 20 AAAA 2001:db8::7")}
		}
	}
}

// place writes a resolv.conf and a hosts file.
func place(t *testing.T, configuration string) dns.Place {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"resolv.conf": configuration, "hosts": "127.0.0.1 localhost\n198.18.0.9 known known.example # a comment\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dns.Place{Etc: folder}
}

// stopped is a context that has ended.
func stopped(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	return ctx
}
