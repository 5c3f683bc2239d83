package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// namespace is an open network namespace.
type namespace struct {
	handle netns.NsHandle
	links  *netlink.Handle
}

func newNamespace(handle netns.NsHandle) (*namespace, error) {
	links, err := netlink.NewHandleAt(handle)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("talk to a network namespace: %w", err), handle.Close())
	}
	return &namespace{handle: handle, links: links}, nil
}

func (n *namespace) close() error {
	n.links.Close()
	if err := n.handle.Close(); err != nil {
		return fmt.Errorf("close a network namespace: %w", err)
	}
	return nil
}

// createNamespace makes a network namespace, held by a file in namespacesDir, with its loopback up and
// net.ipv4.ip_forward as given.
func createNamespace(name, forward string) (*namespace, error) {
	path := filepath.Join(namespacesDir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		return nil, fmt.Errorf("make the file of the network namespace %s: %w", name, err)
	}
	made := make(chan error, 1)
	go func() {
		// The thread stays in the new namespace, so it is never given back: it ends with this goroutine.
		runtime.LockOSThread()
		made <- func() error {
			if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("make a network namespace: %w", err)
			}
			if err := unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("hold the network namespace %s: %w", name, err)
			}
			if err := os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte(forward), 0o644); err != nil {
				return fmt.Errorf("set forwarding in %s: %w", name, err)
			}
			return nil
		}()
	}()
	if err := <-made; err != nil {
		return nil, err
	}
	handle, err := netns.GetFromPath(path)
	if err != nil {
		return nil, fmt.Errorf("open the network namespace %s: %w", name, err)
	}
	created, err := newNamespace(handle)
	if err != nil {
		return nil, err
	}
	if err := created.setUp("lo", ""); err != nil {
		return nil, errors.Join(err, created.close())
	}
	return created, nil
}

// setUp gives the link an address, unless that is empty, and turns it on.
func (n *namespace) setUp(name, address string) error {
	link, err := n.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", name, err)
	}
	if address != "" {
		parsed, err := netlink.ParseAddr(address)
		if err != nil {
			return fmt.Errorf("read the address of %s: %w", name, err)
		}
		if err := n.links.AddrAdd(link, parsed); err != nil {
			return fmt.Errorf("give %s the address %s: %w", name, address, err)
		}
	}
	if err := n.links.LinkSetUp(link); err != nil {
		return fmt.Errorf("turn on %s: %w", name, err)
	}
	return nil
}

func (n *namespace) addBridge(name, address string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	if err := n.links.LinkAdd(&netlink.Bridge{LinkAttrs: attributes}); err != nil {
		return fmt.Errorf("add the bridge %s: %w", name, err)
	}
	return n.setUp(name, address)
}

func (n *namespace) addVeth(name string, peer netns.NsHandle, peerName string) error {
	attributes := netlink.NewLinkAttrs()
	attributes.Name = name
	veth := &netlink.Veth{LinkAttrs: attributes, PeerName: peerName, PeerNamespace: netlink.NsFd(peer)}
	if err := n.links.LinkAdd(veth); err != nil {
		return fmt.Errorf("add the link %s: %w", name, err)
	}
	return nil
}

func (n *namespace) enslave(name, bridge string) error {
	link, err := n.links.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", name, err)
	}
	master, err := n.links.LinkByName(bridge)
	if err != nil {
		return fmt.Errorf("find the bridge %s: %w", bridge, err)
	}
	if err := n.links.LinkSetMaster(link, master); err != nil {
		return fmt.Errorf("put %s on the bridge %s: %w", name, bridge, err)
	}
	return n.setUp(name, "")
}

func (n *namespace) addRoute(destination, gateway string) error {
	_, parsed, err := net.ParseCIDR(destination)
	if err != nil {
		return fmt.Errorf("read a route's destination: %w", err)
	}
	if err := n.links.RouteAdd(&netlink.Route{Dst: parsed, Gw: net.ParseIP(gateway)}); err != nil {
		return fmt.Errorf("add a route to %s: %w", destination, err)
	}
	return nil
}
