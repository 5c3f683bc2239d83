package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// namespacesDir holds a file for each network namespace of the lab. They are not among those of ip-netns(8),
	// so that neither gets in the way of the other.
	namespacesDir    = runtimeDir + "/netns"
	controlNamespace = "control"
	hostLinkName     = "connpolicy-lab" // the machine's end of its link to the control plane; 15 characters at most
	controlLinkName  = "host"
	bridgeName       = "nodes"
	nodeLinkName     = "eth0"
)

// createNetwork makes the control plane's namespace with a bridge, one namespace a node linked to the bridge, and
// a link from the machine to the control plane. There is no default route anywhere but in pods.
func createNetwork(all []node) error {
	if err := os.MkdirAll(namespacesDir, 0o755); err != nil {
		return fmt.Errorf("make the directory for network namespaces: %w", err)
	}
	// A new namespace takes forwarding over from the machine's, so it is said, not assumed: the control plane must
	// not forward between the machine and the pods.
	control, err := createNamespace(controlNamespace, "0")
	if err != nil {
		return err
	}
	defer control.close()
	if err := control.addBridge(bridgeName, onPrefix(controlAddress, nodesCIDR)); err != nil {
		return err
	}
	for _, n := range all {
		if err := connectNode(control, n, all); err != nil {
			return fmt.Errorf("connect %s: %w", n.name, err)
		}
	}
	return connectHost(control)
}

func connectNode(control *namespace, n node, all []node) error {
	own, err := createNamespace(n.name, "1")
	if err != nil {
		return err
	}
	defer own.close()
	if err := control.addVeth(n.name, own.handle, nodeLinkName); err != nil {
		return err
	}
	if err := control.enslave(n.name, bridgeName); err != nil {
		return err
	}
	if err := own.setUp(nodeLinkName, onPrefix(n.address, nodesCIDR)); err != nil {
		return err
	}
	if err := control.addRoute(n.podsCIDR, n.address); err != nil {
		return err
	}
	for _, other := range all {
		if other.name == n.name {
			continue
		}
		if err := own.addRoute(other.podsCIDR, other.address); err != nil {
			return err
		}
	}
	// kube-proxy rewrites Service addresses of the node's own connections only after a route was found for them.
	return own.addRoute(servicesCIDR, controlAddress)
}

func connectHost(control *namespace) error {
	machine, err := netns.Get()
	if err != nil {
		return fmt.Errorf("open the machine's network namespace: %w", err)
	}
	host, err := newNamespace(machine)
	if err != nil {
		return err
	}
	defer host.close()
	if err := control.addVeth(controlLinkName, host.handle, hostLinkName); err != nil {
		return err
	}
	link := netip.PrefixFrom(netip.MustParseAddr(hostAddress), hostLinkPrefixBits).Masked().String()
	if err := host.setUp(hostLinkName, onPrefix(hostAddress, link)); err != nil {
		return err
	}
	return control.setUp(controlLinkName, onPrefix(controlOutsideAddress, link))
}

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

func (n *namespace) close() {
	n.links.Close()
	n.handle.Close() //nolint:errcheck // nothing is written through it
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
		created.close()
		return nil, err
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

// removeNetwork takes away what createNetwork made. It is called when no process is left in the namespaces.
func removeNetwork() error {
	if err := removeHostLink(); err != nil {
		return err
	}
	held, err := os.ReadDir(namespacesDir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("list the network namespaces: %w", err)
	}
	for _, file := range held {
		path := filepath.Join(namespacesDir, file.Name())
		// EINVAL: the file is there, but the namespace was never mounted on it.
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("let go of the network namespace %s: %w", file.Name(), err)
		}
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("remove the network namespace %s: %w", file.Name(), err)
		}
	}
	return nil
}

// hostLinkExists tells whether the machine still has its link to a lab.
func hostLinkExists() (bool, error) {
	_, err := netlink.LinkByName(hostLinkName)
	var notFound netlink.LinkNotFoundError
	if errors.As(err, &notFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look for the link %s: %w", hostLinkName, err)
	}
	return true, nil
}

func removeHostLink() error {
	exists, err := hostLinkExists()
	if err != nil || !exists {
		return err
	}
	link, err := netlink.LinkByName(hostLinkName)
	if err != nil {
		return fmt.Errorf("find the link %s: %w", hostLinkName, err)
	}
	if err := netlink.LinkDel(link); err != nil {
		return fmt.Errorf("remove the link %s: %w", hostLinkName, err)
	}
	return nil
}
