package identity_test

import (
	"io"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/identity"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/server"
)

// serve runs a handler at an address of the loopback interface.
func serve(t *testing.T, address string, handler http.Handler) net.Listener {
	t.Helper()
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute}
	go func() { _ = s.Serve(listener) }()
	t.Cleanup(func() { _ = s.Close() })
	return listener
}

func measure(t *testing.T, listener net.Listener, request *http1.Request) result.Identity {
	t.Helper()
	return identity.Measure(t.Context(), exchange.NewPeer(exchange.Options{
		Remote: nstest.AddressOf(t, listener), Request: request,
		Budget: budget.New(budget.Limits{Connections: 2, RequestsPerSecond: 10, Seconds: 3}),
	}))
}

func get() *http1.Request {
	return &http1.Request{Method: http.MethodGet, Host: "server", Target: "/", UserAgent: "connpolicy-probe/test"}
}

func TestNothingBetween(t *testing.T) {
	for _, address := range []string{"127.0.0.1:0", "[::1]:0"} {
		i := measure(t, serve(t, address, server.Handler()), get())
		if i.Outcome != result.Measured || i.ClientLocal == "" || i.ClientLocal != i.ServerRemote || i.ClientRemote != i.ServerLocal {
			t.Errorf("%s %q: %+v", i.Outcome, i.Cause, i)
		}
		if i.SourceTranslated == nil || *i.SourceTranslated || i.DestinationTranslated == nil || *i.DestinationTranslated || len(i.Via) != 0 {
			t.Errorf("%+v", i)
		}
	}
}

// A proxy is another client with another address, and names itself.
func TestProxyBetween(t *testing.T) {
	behind := serve(t, "127.0.0.1:0", server.Handler())
	target := &url.URL{Scheme: "http", Host: behind.Addr().String()}
	proxy := serve(t, "127.0.0.1:0", &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ModifyResponse: func(r *http.Response) error {
			r.Header.Set("Via", "1.1 edge")
			return nil
		},
	})
	i := measure(t, proxy, get())
	if i.Outcome != result.Measured || i.SourceTranslated == nil || !*i.SourceTranslated || i.DestinationTranslated == nil || !*i.DestinationTranslated {
		t.Errorf("%s %q: %+v", i.Outcome, i.Cause, i)
	}
	if strings.Join(i.Via, "|") != "via: 1.1 edge" {
		t.Errorf("via %q", i.Via)
	}
}

// What the other end does not tell is unknown.
func TestServerThatTellsNothing(t *testing.T) {
	silent := serve(t, "127.0.0.1:0", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	for name, request := range map[string]*http1.Request{"HTTP": get(), "TCP": nil} {
		i := measure(t, silent, request)
		if i.Outcome != result.Measured || i.ClientLocal == "" || i.ServerLocal != "" || i.SourceTranslated != nil || i.DestinationTranslated != nil {
			t.Errorf("%s: %s %q: %+v", name, i.Outcome, i.Cause, i)
		}
	}
}

func TestServerThatIsNotThere(t *testing.T) {
	gone := serve(t, "127.0.0.1:0", server.Handler())
	_ = gone.Close()
	if i := measure(t, gone, get()); i.Outcome != result.Failed || !strings.Contains(i.Cause, "refused") {
		t.Errorf("%s %q", i.Outcome, i.Cause)
	}
}
