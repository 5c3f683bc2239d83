// Package identity compares the addresses of a connection as its two ends see them. Where they differ, addresses are
// translated on the path, or a proxy ends the connection and opens another.
//
// This end is asked of the kernel. The other is known where the server tells it, as `probe serve` does, in the header of an
// ordinary response. Proxies that name themselves there are listed.
package identity

import (
	"context"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/server"
)

// Measure opens one connection and, over HTTP, makes one request on it. The calling goroutine is locked to its thread.
func Measure(ctx context.Context, peer *exchange.Peer) result.Identity {
	course := exchange.Course{Began: time.Now()}
	var r result.Identity
	if course.Stop = peer.Turn(ctx, true); course.Stop == nil {
		err := look(ctx, peer, &r)
		peer.Note(err)
		course.Failed(err)
		if r.ClientLocal != "" && err == nil {
			course.Samples = 1
		}
	}
	r.Meta = course.Conclude()
	return r
}

func look(ctx context.Context, peer *exchange.Peer, r *result.Identity) error {
	connection, err := peer.Connect(ctx)
	if err != nil {
		return err
	}
	defer connection.Close()
	local, err := connection.LocalAddress()
	if err != nil {
		return err
	}
	r.ClientLocal, r.ClientRemote = local.String(), peer.Remote().String()
	if !peer.SpeaksHTTP() {
		return nil
	}
	response, _, err := connection.Request(ctx, false)
	if err != nil {
		return err
	}
	fill(r, response.Said, local, peer.Remote())
	return nil
}

// fill adds what the other end said of itself.
func fill(r *result.Identity, said map[string]string, local, remote netip.AddrPort) {
	localName, remoteName := strings.ToLower(server.LocalHeader), strings.ToLower(server.RemoteHeader)
	r.ServerLocal, r.ServerRemote = said[localName], said[remoteName]
	r.SourceTranslated = differs(r.ServerRemote, local)
	r.DestinationTranslated = differs(r.ServerLocal, remote)
	for _, name := range slices.Sorted(maps.Keys(said)) {
		if name != localName && name != remoteName {
			r.Via = append(r.Via, name+": "+said[name])
		}
	}
}

// differs says whether the other end sees another address than this one, nil if it does not tell.
func differs(seen string, ours netip.AddrPort) *bool {
	other, err := netip.ParseAddrPort(seen)
	if err != nil {
		return nil
	}
	return new(plain(other) != plain(ours))
}

func plain(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}
