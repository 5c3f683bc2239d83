// Package apiserver starts a real kube-apiserver with etcd for tests, without nodes and without controllers: what it
// admits, defaults and refuses is what a cluster would.
package apiserver

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// assetsVariable is where envtest looks for the folder with kube-apiserver, etcd and kubectl.
const assetsVariable = "KUBEBUILDER_ASSETS"

// startTimeout bounds the start. It takes 4 s alone on a machine, and much longer beside builds.
const startTimeout = 3 * time.Minute

// Start starts a kube-apiserver and stops it when the test ends. The configuration that it returns is of an
// administrator. The test fails, and says what to run, if the programs are not there.
func Start(t testing.TB) *rest.Config {
	t.Helper()
	assets := os.Getenv(assetsVariable)
	for _, program := range []string{"kube-apiserver", "etcd"} {
		if info, err := os.Stat(filepath.Join(assets, program)); assets == "" || err != nil || info.IsDir() {
			t.Fatalf("%s=%q has no %s: run 'make lab-build', and set %s to the folder bin/lab/bin of this repository",
				assetsVariable, assets, program, assetsVariable)
		}
	}
	environment := &envtest.Environment{ControlPlaneStartTimeout: startTimeout}
	config, err := environment.Start()
	if err != nil {
		t.Fatalf("start kube-apiserver: %v", err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Errorf("stop kube-apiserver: %v", err)
		}
	})
	// What controllers say in a test is of interest from warnings on.
	ctrl.SetLogger(logr.FromSlogHandler(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})))
	// Tests poll; the client's own rate limit would only make them slow.
	config.QPS, config.Burst = -1, -1
	return config
}
