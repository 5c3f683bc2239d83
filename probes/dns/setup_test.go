package dns_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/connpolicy/connpolicy/probes/dns"
)

// place writes a resolv.conf and a hosts file.
func place(t *testing.T, configuration string) dns.Place {
	t.Helper()
	folder := t.TempDir()
	for name, text := range map[string]string{"resolv.conf": configuration, "hosts": "127.0.0.1 localhost\n198.18.0.9 known known.example # a comment\n"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dns.Place{Etc: folder}
}

// stopped is a context that has ended.
func stopped(t *testing.T, cause error) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(cause)
	return ctx
}
