package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"

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
func createNetwork(all []node) (err error) {
	if err := os.MkdirAll(namespacesDir, 0o755); err != nil {
		return fmt.Errorf("make the directory for network namespaces: %w", err)
	}
	// A new namespace takes forwarding over from the machine's, so it is said, not assumed: the control plane must
	// not forward between the machine and the pods.
	control, err := createNamespace(controlNamespace, "0")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, control.close()) }()
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

func connectNode(control *namespace, n node, all []node) (err error) {
	own, err := createNamespace(n.name, "1")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, own.close()) }()
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

func connectHost(control *namespace) (err error) {
	machine, err := netns.Get()
	if err != nil {
		return fmt.Errorf("open the machine's network namespace: %w", err)
	}
	host, err := newNamespace(machine)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, host.close()) }()
	if err := control.addVeth(controlLinkName, host.handle, hostLinkName); err != nil {
		return err
	}
	link := netip.PrefixFrom(netip.MustParseAddr(hostAddress), hostLinkPrefixBits).Masked().String()
	if err := host.setUp(hostLinkName, onPrefix(hostAddress, link)); err != nil {
		return err
	}
	return control.setUp(controlLinkName, onPrefix(controlOutsideAddress, link))
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
