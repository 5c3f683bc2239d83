// Package procnet reads the network counters and settings that the kernel shows under /proc, for the network namespace of
// the calling thread.
package procnet

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// FS is a mounted proc file system.
type FS struct {
	root string
}

// New returns the proc file system mounted at root, in production /proc.
func New(root string) FS { return FS{root: root} }

// Counters are the values of one file by protocol and name, for example "Tcp.ActiveOpens". A counter that the kernel does
// not have is absent.
type Counters map[string]int64

// SNMP reads the counters that RFC 1213 and its successors name: connections opened, segments sent again.
func (fs FS) SNMP() (Counters, error) { return fs.counters("snmp", parseCounterTable) }

// Netstat reads the counters of Linux's own: listen queue overflows, sockets that entered TIME_WAIT.
func (fs FS) Netstat() (Counters, error) { return fs.counters("netstat", parseCounterTable) }

// Sockstat reads how many sockets there are. Of those of TCP, "inuse" and "tw" are the namespace's, but "orphan", "alloc"
// and "mem" are the whole host's.
func (fs FS) Sockstat() (Counters, error) { return fs.counters("sockstat", parseSockstat) }

func (fs FS) counters(file string, parse func(string) (Counters, error)) (Counters, error) {
	// /proc/net is the namespace of the process's first thread, which need not be that of this one.
	path := filepath.Join(fs.root, "thread-self", "net", file)
	data, err := os.ReadFile(path) //nolint:gosec // the name is one of three constants
	if err != nil {
		return nil, fmt.Errorf("read the kernel's counters: %w", err)
	}
	counters, err := parse(string(data))
	if err != nil {
		return nil, fmt.Errorf("read the kernel's counters: %s: %w", path, err)
	}
	return counters, nil
}

// Sysctl returns the value of a setting by its full dotted name (net.ipv4.ip_local_port_range), its fields separated by
// single spaces. The error wraps fs.ErrNotExist if this kernel or namespace does not have it.
func (fs FS) Sysctl(name string) (string, error) {
	path := filepath.Join(fs.root, "sys", strings.ReplaceAll(name, ".", "/"))
	data, err := readAtOnce(path)
	if err != nil {
		return "", fmt.Errorf("read the sysctl %s: %w", name, err)
	}
	return strings.Join(strings.Fields(string(data)), " "), nil
}

// readAtOnce reads a file by a single read(). The kernel answers only the first one for a list of ports, and cuts the list
// to its size in the middle of a number, without an error (kernel/sysctl.c, proc_do_large_bitmap); so a buffer that was
// filled is taken for too small.
func readAtOnce(path string) ([]byte, error) {
	const (
		firstBytes = 4 << 10
		// mostBytes holds the longest list: every second port, 32,768 of them with their commas.
		mostBytes = 256 << 10
	)
	file, err := os.Open(path) //nolint:gosec // the name is one of our constants
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	for size := firstBytes; size <= mostBytes; size *= 8 {
		buffer := make([]byte, size)
		n, err := file.ReadAt(buffer, 0)
		if errors.Is(err, io.EOF) {
			return buffer[:n], nil
		}
		if err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%s is longer than %d bytes", path, mostBytes)
}

// Sysctls returns the values of those of names that can be read.
func (fs FS) Sysctls(names []string) map[string]string {
	values := make(map[string]string, len(names))
	for _, name := range names {
		if value, err := fs.Sysctl(name); err == nil {
			values[name] = value
		}
	}
	return values
}

// KernelRelease returns the release of the running kernel, as uname -r does.
func (fs FS) KernelRelease() (string, error) { return fs.Sysctl("kernel.osrelease") }
