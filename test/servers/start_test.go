package servers_test

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
)

// start starts a server on its port in the server's namespace. What it returns is the file with what the server writes,
// empty if there is none.
type start func(t *testing.T, pair *nstest.Pair) (output string)

const (
	listenIPv4 = nstest.ServerAddress + ":8080"
	listenIPv6 = "[" + nstest.ServerAddressIPv6 + "]:8080"
)

// nginx is a server of nginx with directives of its own, which say what is at / too if they hold a location. Its log has a
// line a request: the number of the connection, and of the request on it. {folder} stands for its folder.
func nginx(directives string) start { return nginxWith("", directives) }

// nginxWith does the same with options of listen, such as http2.
func nginxWith(listenOptions, directives string) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		path, place := program(t, "nginx"), folder(t)
		location := "location / { return 200 \"ok\\n\"; }"
		if strings.Contains(directives, "location") {
			location = ""
		}
		content(t, place)
		configuration := write(t, place, "nginx.conf", strings.ReplaceAll(fmt.Sprintf(`
daemon off;
master_process off;
pid {folder}/pid;
error_log stderr;
events {}
http {
  default_type text/html;
  log_format numbers '$connection $connection_requests';
  access_log {folder}/requests numbers;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  server {
    listen %[1]s %[3]s;
    listen %[2]s %[3]s;
    %[4]s
    %[5]s
  }
}`, listenIPv4, listenIPv6, listenOptions, directives, location), "{folder}", place))
		run(t, pair, port, place, path, "-e", "stderr", "-p", place, "-c", configuration)
		return filepath.Join(place, "requests")
	}
}

// apache is a server of Apache httpd, with the module for events and those named, that serves what is in its folder www.
func apache(directives string, modules ...string) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		path, place := program(t, "apache2"), folder(t)
		var load strings.Builder
		for _, module := range append([]string{"mpm_event", "authz_core"}, modules...) {
			fmt.Fprintf(&load, "LoadModule %s_module /usr/lib/apache2/modules/mod_%s.so\n", module, module)
		}
		content(t, place)
		configuration := write(t, place, "httpd.conf", strings.ReplaceAll(fmt.Sprintf(`
%s
ServerName server
PidFile {folder}/pid
Mutex pthread
User nobody
Group nogroup
ErrorLog /dev/stderr
DocumentRoot {folder}/www
Listen %s
Listen %s
%s
`, &load, listenIPv4, listenIPv6, directives), "{folder}", place))
		return run(t, pair, port, place, path, "-X", "-d", place, "-f", configuration)
	}
}

// haproxy is a frontend of HAProxy with lines of its own, and what stands behind it.
func haproxy(bindOptions, frontend string, rest ...string) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		path, place := program(t, "haproxy"), folder(t)
		answer := ""
		if len(rest) == 0 {
			answer = "http-request return status 200 content-type text/plain string ok"
		}
		content(t, place)
		configuration := write(t, place, "haproxy.cfg", strings.ReplaceAll(fmt.Sprintf(`
global
  maxconn 200
defaults
  mode http
  timeout connect 5s
  timeout client 30s
  timeout server 30s
frontend it
  bind %s,%s %s
  %s
  %s
%s
`, listenIPv4, listenIPv6, bindOptions, frontend, answer, strings.Join(rest, "\n")), "{folder}", place))
		return run(t, pair, port, place, path, "-db", "-f", configuration)
	}
}

// node is a server of Node.js: a program that makes one and calls it server.
func node(script string) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		path, place := program(t, "node"), folder(t)
		return run(t, pair, port, place, path, write(t, place, "server.js", script+fmt.Sprintf("\nserver.listen(%d, '::');\n", port)))
	}
}

// golang is a server of Go's net/http.
func golang(change func(*http.Server), handle http.HandlerFunc) start {
	return func(t *testing.T, pair *nstest.Pair) string {
		t.Helper()
		listener := pair.ListenWith(t, nstest.ListenOptions{Port: port})
		server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: handle}
		if change != nil {
			change(server)
		}
		go func() {
			if server.TLSConfig != nil {
				_ = server.ServeTLS(listener, "", "")
				return
			}
			_ = server.Serve(listener)
		}()
		t.Cleanup(func() { _ = server.Close() })
		return ""
	}
}

func ok(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) }

// content fills the folder www: what is at / is small, /large fills longBytes.
func content(t *testing.T, place string) {
	t.Helper()
	www := filepath.Join(place, "www")
	if err := os.Mkdir(www, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, www, "small", "ok\n")
	write(t, www, "large", strings.Repeat("x", longBytes))
}

// longBytes is far more than what a server sends before the first acknowledgment.
const longBytes = 200_000

// pathOf is where the small response is at the server of a test's name.
func pathOf(name string) string {
	if strings.HasPrefix(name, "Apache") {
		return "/small"
	}
	return "/"
}
