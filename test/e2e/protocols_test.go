//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/result"
)

// TestProtocols: one server is measured in each protocol that begins with TLS, trusted by the authority in a ConfigMap; not
// trusted it is an outcome, with its cause.
func TestProtocols(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	signed := nstest.NewAuthority(t)
	p.create(
		trusted(signed, "trusted"), trusted(nstest.NewAuthority(t), "others"),
		certified(t, signed, "secure", "secure."+p.namespace+".svc"),
		secureServer(), secureService(), quietClient(),
	)
	link := func(name string, protocol v1alpha1.Protocol, path, authorities string) v1alpha1.Link {
		return v1alpha1.Link{
			Name: name, Protocol: protocol, Service: &v1alpha1.ServiceReference{Name: "secure"}, HTTP: &v1alpha1.HTTPRequest{Path: path},
			TLS: &v1alpha1.TLSClient{CAConfigMap: &v1alpha1.ConfigMapKey{Name: authorities}},
		}
	}
	all := policy()
	all.Spec.To = []v1alpha1.Link{
		link("https", v1alpha1.ProtocolHTTPS, "/", "trusted"),
		link("http2", v1alpha1.ProtocolHTTP2, "/", "trusted"),
		link("websocket", v1alpha1.ProtocolWebSocket, "/ws", "trusted"),
		link("untrusted", v1alpha1.ProtocolHTTPS, "/", "others"),
		link("absent", v1alpha1.ProtocolHTTPS, "/", "nowhere"),
	}
	p.create(all)

	measured := func(name string, check func(result.Measurements) error) {
		t.Helper()
		p.await(4*time.Minute, "the link "+name+" is measured", func(ctx context.Context) error {
			m, err := p.measurements(ctx, name)
			if err != nil {
				return err
			}
			return check(m)
		})
	}
	overTLS := func(h *result.Handshake) error {
		if h == nil || h.Outcome != result.Measured || h.TLS == nil || h.TLS.Version != "TLS 1.3" || h.TLS.ResumedMicroseconds == nil {
			return fmt.Errorf("handshake: %+v", h)
		}
		return nil
	}
	measured("https", func(m result.Measurements) error {
		if r := m.Reuse; r == nil || r.Kept == nil || !*r.Kept {
			return fmt.Errorf("reuse: %+v", r)
		}
		return overTLS(m.Handshake)
	})
	measured("http2", func(m result.Measurements) error {
		if h := m.HTTP2; h == nil || h.Supported == nil || !*h.Supported || h.PingAnswered == nil || !*h.PingAnswered {
			return fmt.Errorf("http2: %+v", h)
		}
		return overTLS(m.Handshake)
	})
	measured("websocket", func(m result.Measurements) error {
		if w := m.WebSocket; w == nil || w.Upgraded == nil || !*w.Upgraded || w.Echo == nil || !*w.Echo || w.Pong == nil || !*w.Pong {
			return fmt.Errorf("websocket: %+v", w)
		}
		return overTLS(m.Handshake)
	})
	measured("untrusted", func(m result.Measurements) error {
		if h := m.Handshake; h == nil || h.Outcome != result.Failed || !strings.Contains(h.Cause, "certificate signed by unknown authority") {
			return fmt.Errorf("handshake: %+v", h)
		}
		return nil
	})
	p.await(2*time.Minute, "the absent ConfigMap is named", func(ctx context.Context) error {
		var found v1alpha1.ConnectionPolicy
		if err := p.get(ctx, policyName, &found); err != nil {
			return err
		}
		for _, status := range found.Status.Links {
			if status.Name == "absent" && strings.Contains(status.Message, "nowhere") {
				return nil
			}
		}
		return fmt.Errorf("the links are %+v", found.Status.Links)
	})
}

// TestSilence: after how much silence the server closes is seen by a pod of its own, which nothing else waits for.
func TestSilence(t *testing.T) {
	t.Parallel()
	p := newPlace(t, nil)
	closing := server(1)
	closing.Spec.Template.Spec.Containers[0].Args = []string{"serve", "--listen=:8080", "--idle-timeout=7s"}
	silent := policy()
	silent.Spec.Probe.Limits.IdleSeconds = new(int32(60))
	p.create(closing, serverService(), quietClient(), silent)
	p.awaitCondition(2*time.Minute, policyName, v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	p.await(4*time.Minute, "the silence after which the server closes is known", func(ctx context.Context) error {
		m, err := p.measurements(ctx, "server")
		if err != nil {
			return err
		}
		i := m.Idle
		if i == nil || i.Outcome != result.Measured || i.Cut == nil || !*i.Cut || i.How != result.CutFIN ||
			i.AfterSecondsAtLeast == nil || i.AfterSecondsAtMost == nil {
			return fmt.Errorf("idle: %+v", i)
		}
		if *i.AfterSecondsAtLeast > 7.5 || *i.AfterSecondsAtMost < 6.5 {
			t.Errorf("cut after %.1f to %.1f s, the server closes after 7", *i.AfterSecondsAtLeast, *i.AfterSecondsAtMost)
		}
		return nil
	})
}

// measurements are those of the first vantage of a link's report.
func (p place) measurements(ctx context.Context, link string) (result.Measurements, error) {
	var report v1alpha1.ConnectionReport
	if err := p.get(ctx, policyName+"-"+link, &report); err != nil {
		return result.Measurements{}, err
	}
	if len(report.Status.Vantages) == 0 {
		return result.Measurements{}, errors.New("the report has no vantage")
	}
	first := report.Status.Vantages[0]
	if first.Outcome != string(result.Measured) {
		return result.Measurements{}, fmt.Errorf("the vantage is %s: %s", first.Outcome, first.Cause)
	}
	found, err := vantage.Result(first, report.Status.Target)
	return found.Measurements, err
}

// quietClient is a workload that opens no connection, and gives probes a place to stand.
func quietClient() *appsv1.Deployment {
	return deployment("client", 1, []string{"serve", "--listen=:8080"}, corev1.ContainerPort{Name: "http", ContainerPort: 8080})
}

// secureServer speaks TLS with the certificate in the Secret secure.
func secureServer() *appsv1.Deployment {
	d := deployment("secure", 1, []string{"serve", "--listen=:8443", "--tls-certificate=/tls/tls.crt", "--tls-key=/tls/tls.key"},
		corev1.ContainerPort{Name: "https", ContainerPort: 8443})
	d.Spec.Template.Spec.Containers[0].VolumeMounts = []corev1.VolumeMount{{Name: "tls", MountPath: "/tls", ReadOnly: true}}
	d.Spec.Template.Spec.Volumes = []corev1.Volume{{
		Name: "tls", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: "secure"}},
	}}
	return d
}

func secureService() *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "secure"},
		Spec: corev1.ServiceSpec{
			Selector: map[string]string{appLabel: "secure"},
			Ports:    []corev1.ServicePort{{Name: "https", Port: 443, TargetPort: intstr.FromInt32(8443)}},
		},
	}
}
