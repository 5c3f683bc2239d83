package nstest

import (
	"fmt"
	"testing"

	"golang.org/x/sys/unix"
)

const interfaceName = "eth0"

// openTUN makes a TUN device in a namespace. Reads and writes of the file are its packets, whole and with their checksums:
// without a virtio header (IFF_VNET_HDR) the kernel leaves neither segmentation nor checksums to us
// (drivers/net/tun.c, TUNSETOFFLOAD).
func openTUN(t *testing.T, namespace string) (fd int) {
	t.Helper()
	var err error
	// The device belongs to the namespace of the thread that opens the file.
	inNamespace(t, namespace, func() { fd, err = attachTUN() })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	return fd
}

func attachTUN() (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open /dev/net/tun (load the kernel module tun, or make the device known to the container): %w", err)
	}
	request, err := unix.NewIfreq(interfaceName)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		_ = unix.Close(fd)
		return 0, fmt.Errorf("make a TUN device: %w", err)
	}
	return fd, nil
}
