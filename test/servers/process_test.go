package servers_test

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// packages holds the package of Debian and Ubuntu that brings each program. `make test-packages` installs them all.
var packages = map[string]string{"nginx": "nginx", "apache2": "apache2-bin", "haproxy": "haproxy", "node": "nodejs"}

// program returns the path of a server's program. Without it the test is skipped; in CI, where a skip would look like a
// pass, it fails.
func program(t *testing.T, name string) string {
	t.Helper()
	// What is in sbin is not on everybody's path.
	for _, candidate := range []string{name, "/usr/sbin/" + name} {
		if path, err := exec.LookPath(candidate); err == nil {
			return path
		}
	}
	message := "this test needs the program " + name + ": run `make test-packages`, or apt-get install --no-install-recommends " + packages[name]
	if os.Getenv("CI") == "true" {
		t.Fatal(message + "; CI must not skip it")
	}
	t.Skip(message)
	return ""
}

// folder makes a temporary folder that servers which give up root may read too.
func folder(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	for _, each := range []string{filepath.Dir(path), path} {
		if err := os.Chmod(each, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return path
}

// write puts a file into a folder and returns its path.
func write(t *testing.T, folder, name, content string) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// port is where each server listens, in a namespace of its own, and upstreamPort where one behind it does.
const (
	port         = 8080
	upstreamPort = 8081
)

// run starts a server in the server's namespace, waits until it listens at a port and ends it with the test. It returns the
// file with what the server writes.
func run(t *testing.T, pair *nstest.Pair, at int, folder, path string, arguments ...string) (output string) {
	t.Helper()
	output = filepath.Join(folder, "output")
	file, err := os.Create(output)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	command := exec.Command(path, arguments...)
	command.Dir, command.Stdout, command.Stderr = folder, file, file
	// A program is started in the namespace of the thread that starts it.
	pair.InServer(t, func() { err = command.Start() })
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// How it ends does not matter: it is killed.
		_ = command.Wait()
	}()
	t.Cleanup(func() {
		_ = command.Process.Kill()
		<-ended
		if written, err := os.ReadFile(output); t.Failed() && err == nil && len(written) > 0 {
			t.Logf("%s wrote:\n%s", filepath.Base(path), written)
		}
	})
	waitForListener(t, pair, at, ended)
	return output
}

// waitForListener looks at the kernel's list of sockets, so that the server sees no connection but the probe's.
func waitForListener(t *testing.T, pair *nstest.Pair, at int, ended <-chan struct{}) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; {
		if len(sockets(t, pair, at, listening)) > 0 {
			return
		}
		select {
		case <-ended:
			t.Fatal("the server ended before it listened")
		case <-time.After(10 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatal("the server does not listen")
		}
	}
}

// States of sockets as /proc/net/tcp names them (include/net/tcp_states.h).
const (
	timeWait  = "06"
	listening = "0A"
)

// sockets lists the remote ends of the sockets at a port that are in a state, as the kernel tells them in the server's
// namespace. It is another source than the one that the probe uses, and another namespace.
func sockets(t *testing.T, pair *nstest.Pair, at int, state string) []string {
	t.Helper()
	var remotes []string
	var err error
	pair.InServer(t, func() {
		for _, name := range []string{"tcp", "tcp6"} {
			var content []byte
			if content, err = os.ReadFile("/proc/thread-self/net/" + name); err != nil {
				return
			}
			for line := range strings.Lines(string(content)) {
				// sl, local_address, rem_address, st; ports in hexadecimal.
				fields := strings.Fields(line)
				if len(fields) > 3 && strings.HasSuffix(fields[1], fmt.Sprintf(":%04X", at)) && fields[3] == state {
					remotes = append(remotes, fields[2])
				}
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	return remotes
}

// url is where the server is reached over IPv4.
func url(scheme, path string) string {
	return scheme + "://" + net.JoinHostPort(nstest.ServerAddress, "8080") + path
}
