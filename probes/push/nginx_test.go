package push_test

import (
	"fmt"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/server"
)

// nginxProgram returns the path of nginx. Without it the test is skipped; in CI, where a skip would look like a pass, it
// fails.
func nginxProgram(t *testing.T) string {
	t.Helper()
	// What is in sbin is not on everybody's path.
	for _, name := range []string{"nginx", "/usr/sbin/nginx"} {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	const message = "this test needs nginx: apt-get install nginx"
	if os.Getenv("CI") == "true" {
		t.Fatal(message + "; CI must not skip it")
	}
	t.Skip(message)
	return ""
}

// nginxBefore runs nginx in front of an upstream, with further directives, in the server's namespace.
func nginxBefore(t *testing.T, pair *nstest.Pair, upstream, directives string) (address string) {
	t.Helper()
	program := nginxProgram(t)
	folder := t.TempDir()
	for _, each := range []string{filepath.Dir(folder), folder} {
		if err := os.Chmod(each, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	address = nstest.ServerAddress + ":8080"
	configuration := strings.ReplaceAll(fmt.Sprintf(`
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {}
http {
  access_log off;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {
    listen %s;
    location / {
      proxy_pass %s;
      proxy_http_version 1.1;
      proxy_set_header Connection $http_connection;
      proxy_set_header Upgrade $http_upgrade;
      %s
    }
  }
}`, address, upstream, directives), "{folder}", folder)
	path := filepath.Join(folder, "nginx.conf")
	if err := os.WriteFile(path, []byte(configuration), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command(program, "-e", "stderr", "-p", folder, "-c", path)
	var output strings.Builder
	command.Stdout, command.Stderr = &output, &output
	var err error
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
		if t.Failed() {
			t.Logf("nginx wrote:\n%s", output.String())
		}
	})
	for deadline := time.Now().Add(30 * time.Second); !listens(t, pair); time.Sleep(10 * time.Millisecond) {
		select {
		case <-ended:
			t.Fatal("nginx ended before it listened")
		default:
		}
		if time.Now().After(deadline) {
			t.Fatal("nginx does not listen")
		}
	}
	return address
}

// listens looks for a listener at port 8080 in the kernel's list, so that nginx sees no connection but the probe's.
func listens(t *testing.T, pair *nstest.Pair) bool {
	t.Helper()
	var list []byte
	var err error
	pair.InServer(t, func() { list, err = os.ReadFile("/proc/thread-self/net/tcp") })
	if err != nil {
		t.Fatal(err)
	}
	const port, listening = ":1F90", "0A"
	for line := range strings.Lines(string(list)) {
		if fields := strings.Fields(line); len(fields) > 3 && strings.HasSuffix(fields[1], port) && fields[3] == listening {
			return true
		}
	}
	return false
}

// nginx passes a stream on as it comes even where it buffers, as long as the client keeps up: it flushes a buffer that it
// wants back (ngx_http_write_filter_module.c), whatever is said of proxy_buffering. What curl saw, the probe sees.
func TestBehindNginx(t *testing.T) {
	for name, directives := range map[string]string{
		"with buffers":    "proxy_buffering on;",
		"without buffers": "proxy_buffering off;",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pair := nstest.New(t)
			origin := httptest.NewUnstartedServer(server.Handler())
			origin.Listener = pair.Listen(t)
			origin.Start()
			t.Cleanup(origin.Close)
			address := nginxBefore(t, pair, "http://"+origin.Listener.Addr().String(), directives)
			const news = "?every=400ms"
			r, _ := measure(t, pair, "http://"+address, 14, map[string]string{"streaming": "/events" + news, "websocket": "/ws" + news})
			for name, way := range map[string]*result.PushWay{"stream": r.Streaming, "WebSocket": r.WebSocket} {
				if way.Outcome != result.Measured || show(way.Buffered) != false || way.CutBy != "" {
					t.Errorf("%s: %s %q %q: %d messages, buffered %v, %+v, cut by %q", name, way.Outcome, way.Cause, way.Missing, way.Messages,
						show(way.Buffered), way.Together, way.CutBy)
				}
			}
		})
	}
}

// A stream on which nothing comes is cut by nginx when its time is over.
func TestCutByNginx(t *testing.T) {
	t.Parallel()
	pair := nstest.New(t)
	origin := httptest.NewUnstartedServer(server.Handler())
	origin.Listener = pair.Listen(t)
	origin.Start()
	t.Cleanup(origin.Close)
	address := nginxBefore(t, pair, "http://"+origin.Listener.Addr().String(), "proxy_buffering off; proxy_read_timeout 2s;")
	r, _ := measure(t, pair, "http://"+address, 24, map[string]string{"streaming": "/events?every=1h", "websocket": "/ws"})
	for name, way := range map[string]*result.PushWay{"stream": r.Streaming, "WebSocket": r.WebSocket} {
		if way.Outcome != result.Measured || way.CutBy != result.CutFIN || way.CutAfterSeconds == nil || *way.CutAfterSeconds < 1.5 || *way.CutAfterSeconds > 6 {
			t.Errorf("%s: %s %q: cut after %v s by %q", name, way.Outcome, way.Cause, show(way.CutAfterSeconds), way.CutBy)
		}
	}
}
