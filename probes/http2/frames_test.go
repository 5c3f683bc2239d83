package http2

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/net/http2"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
)

// received is a connection on which a server has sent all that it will.
type received struct{ io.Reader }

func (received) Write(data []byte) (int, error) { return len(data), nil }

// waiting is a client with so many requests under way, and what a server sent for them.
func waiting(data []byte, requests uint32) *client {
	c := &client{
		peer: exchange.NewPeer(exchange.Options{
			Remote: netip.MustParseAddrPort("198.18.99.2:80"), Budget: budget.New(budget.Limits{Connections: 1, RequestsPerSecond: 1, Seconds: 60}),
		}),
		framer: newFramer(received{bytes.NewReader(data)}), next: 1, open: map[uint32]int64{},
	}
	for ; c.next < 2*requests; c.next += 2 {
		c.open[c.next] = 0
	}
	return c
}

// takeAll acts on all frames.
func (c *client) takeAll() error {
	for {
		frame, err := c.framer.ReadFrame()
		if err != nil {
			return err
		}
		if err := c.take(frame); err != nil {
			return err
		}
	}
}

// captures returns what real servers sent for a preface, settings, six requests and a ping, by the name of the server: nginx
// 1.22, Apache 2.4, HAProxy 2.6, Node.js 20 and Go 1.26.
func captures(tb testing.TB) map[string][]byte {
	tb.Helper()
	files, err := filepath.Glob("testdata/*")
	if err != nil || len(files) == 0 {
		tb.Fatal("no captures", err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		if info, err := os.Stat(file); err != nil || info.IsDir() {
			continue
		}
		data, err := os.ReadFile(file)
		if err != nil {
			tb.Fatal(err)
		}
		all[filepath.Base(file)] = data
	}
	return all
}

func TestFramesOfRealServers(t *testing.T) {
	for name, data := range captures(t) {
		c := waiting(data, 6)
		if err := c.takeAll(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: %v", name, err)
		}
		if c.settings == nil || len(c.open) != 0 {
			t.Errorf("%s: settings %v, %d requests without an answer", name, c.settings, len(c.open))
		}
		// nginx was told to serve four requests on a connection.
		if ended := name == "nginx-goaway"; (c.ended != nil) != ended || ended && (c.ended.requests != 4 || !c.refused || c.ended.code != http2.ErrCodeNo) {
			t.Errorf("%s: GOAWAY %+v, refused %v", name, c.ended, c.refused)
		}
		if answered := c.peer.Budget.Statuses()["200"]; name == "nginx-goaway" && answered != 4 || name != "nginx-goaway" && answered != 6 {
			t.Errorf("%s: %d answered", name, answered)
		}
	}
}

// Whatever arrives, the client ends with an error, and counts no more than it has asked for.
func FuzzFrames(f *testing.F) {
	for _, data := range captures(f) {
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		const requests = 6
		c := waiting(data, requests)
		if err := c.takeAll(); err == nil {
			t.Error("it ended without an error")
		}
		if len(c.open) > requests || c.ended != nil && (c.ended.requests < 0 || c.ended.requests > requests) {
			t.Errorf("%d requests under way, GOAWAY %+v", len(c.open), c.ended)
		}
		for id, body := range c.open {
			if id%2 == 0 || id >= 2*requests || body < 0 || body > http1.MaximumBodyBytes {
				t.Errorf("stream %d has %d bytes", id, body)
			}
		}
	})
}
