package nstest

import (
	"bufio"
	"net"
	"sync"
	"testing"
)

// Hold accepts all that knocks at a listener and keeps it open, without reading, until the test ends. A connection that
// nothing refers to would be closed by the garbage collector.
func Hold(t *testing.T, listener net.Listener) {
	t.Helper()
	var held sync.WaitGroup
	var connections []net.Conn
	held.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			connections = append(connections, connection)
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		held.Wait()
		for _, connection := range connections {
			_ = connection.Close()
		}
	})
}

// Serve accepts all that knocks at a listener and runs handle for each connection, which is closed when handle returns.
// The end of the test closes the listener and all connections, and waits for handle.
func Serve(t *testing.T, listener net.Listener, handle func(net.Conn)) {
	t.Helper()
	var running sync.WaitGroup
	var mutex sync.Mutex
	open := map[net.Conn]struct{}{}
	ended := false
	enter := func(connection net.Conn) bool {
		mutex.Lock()
		defer mutex.Unlock()
		if !ended {
			open[connection] = struct{}{}
		}
		return !ended
	}
	leave := func(connection net.Conn) {
		mutex.Lock()
		defer mutex.Unlock()
		delete(open, connection)
	}
	running.Go(func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			running.Go(func() {
				defer func() { _ = connection.Close() }()
				if !enter(connection) {
					return
				}
				defer leave(connection)
				handle(connection)
			})
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		mutex.Lock()
		ended = true
		for connection := range open {
			_ = connection.Close()
		}
		mutex.Unlock()
		running.Wait()
	})
}

// Follow closes each connection after the client did; until then it reads and drops what comes.
func Follow(t *testing.T, listener net.Listener) {
	t.Helper()
	Serve(t, listener, func(connection net.Conn) {
		buffer := make([]byte, 1<<16)
		for {
			if _, err := connection.Read(buffer); err != nil {
				return
			}
		}
	})
}

// Answer serves HTTP/1 requests that have no body. It calls respond for each, with its number in its connection, from 1 on,
// and closes the connection when respond is false. It is for servers that misbehave on purpose; net/http's does not.
func Answer(t *testing.T, listener net.Listener, respond func(connection net.Conn, number int) (goOn bool)) {
	t.Helper()
	Serve(t, listener, func(connection net.Conn) { answer(connection, respond) })
}

func answer(connection net.Conn, respond func(net.Conn, int) bool) {
	lines := bufio.NewReader(connection)
	for number := 1; ; number++ {
		for line := ""; line != "\r\n"; {
			var err error
			if line, err = lines.ReadString('\n'); err != nil {
				return
			}
		}
		if !respond(connection, number) {
			return
		}
	}
}
