package observer

import (
	"net"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// listenShort listens with a queue for few, in the namespace of the calling thread. Nobody accepts.
func listenShort(t *testing.T) (listener net.Listener, limit int) {
	t.Helper()
	limit = 4
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "listener")
	defer file.Close()
	address := &unix.SockaddrInet4{Addr: nstestServer(t)}
	if err := unix.Bind(fd, address); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, limit); err != nil {
		t.Fatal(err)
	}
	listener, err = net.FileListener(file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener, limit
}

func nstestServer(t *testing.T) [4]byte {
	t.Helper()
	address := net.ParseIP(nstest.ServerAddress).To4()
	if address == nil {
		t.Fatal("the server's address is not of IPv4")
	}
	return [4]byte(address)
}
