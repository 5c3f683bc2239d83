// Package prometheus tests what is shipped for Prometheus and Grafana, with Prometheus's own code: that alerts fire when
// they should and at no other time, and that they and the dashboard ask for nothing that the operator does not tell. It is
// a module of its own, so that the operator does not come to depend on Prometheus.
package prometheus

import (
	"os"
	"path/filepath"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"
)

// read reads a manifest and refuses fields that its kind does not have.
func read[T any](t *testing.T, path string) T {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(repository, path))
	if err != nil {
		t.Fatal(err)
	}
	var object T
	if err := yaml.UnmarshalStrict(text, &object); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return object
}

func TestServiceMonitor(t *testing.T) {
	monitor := read[monitoringv1.ServiceMonitor](t, "config/prometheus/service_monitor.yaml")
	service := read[corev1.Service](t, "config/manager/metrics_service.yaml")
	// kustomize adds this label to every object, and the Service has it where it is installed.
	service.Labels["app.kubernetes.io/name"] = "connpolicy"
	for name, value := range monitor.Spec.Selector.MatchLabels {
		if service.Labels[name] != value {
			t.Errorf("it selects %s=%s, and the Service has %q", name, value, service.Labels[name])
		}
	}
	if len(monitor.Spec.Endpoints) != 1 {
		t.Fatalf("%d endpoints", len(monitor.Spec.Endpoints))
	}
	endpoint := monitor.Spec.Endpoints[0]
	if endpoint.Port != service.Spec.Ports[0].Name {
		t.Errorf("port %q, and the Service's is %q", endpoint.Port, service.Spec.Ports[0].Name)
	}
	if !endpoint.HonorLabels {
		t.Error("the namespace of a policy would be told as exported_namespace, which no alert knows")
	}
}
