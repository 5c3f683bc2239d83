//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

const ruleTornConnections = "CP813"

// TestDrain: what the client's own connections come to in a roll-out of the server is told, and judged.
func TestDrain(t *testing.T) {
	t.Parallel()
	t.Run("a server that serves on until it is known everywhere that it stops", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, nil)
		patient := server(3)
		patient.Spec.Template.Spec.TerminationGracePeriodSeconds = new(int64(20))
		container := &patient.Spec.Template.Spec.Containers[0]
		container.Lifecycle = &corev1.Lifecycle{PreStop: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 8}}}
		// A pod that counts as ready before it listens would refuse connections too.
		container.ReadinessProbe = &corev1.Probe{PeriodSeconds: 1, ProbeHandler: corev1.ProbeHandler{
			HTTPGet: &corev1.HTTPGetAction{Path: "/", Port: intstr.FromInt32(8080)},
		}}
		p.create(serverService())
		client := caller(p.namespace, 50)
		// A client that gives a request up would count as one without an answer.
		client.Spec.Template.Spec.Containers[0].Args = append(client.Spec.Template.Spec.Containers[0].Args, "--timeout=10s")
		drain := p.rollOut(patient, client)
		if drain.Endpoints < 1 || drain.Pods != 1 || drain.Before == nil || drain.During.Closed == 0 {
			t.Errorf("the drain is %+v", drain)
		}
		p.judged(v1alpha1.VerdictPass)
	})
	t.Run("a server that cuts requests off", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, nil)
		client := caller(p.namespace, 30)
		// Requests take up to five seconds, so that many are under way at any time.
		args := client.Spec.Template.Spec.Containers[0].Args
		args[1] += "long-poll?every=5s"
		client.Spec.Template.Spec.Containers[0].Args = append(args, "--timeout=10s", "--threads=200")
		hasty := server(3)
		hasty.Spec.Template.Spec.Containers[0].Args = append(hasty.Spec.Template.Spec.Containers[0].Args, "--cut-off")
		p.create(serverService())
		drain := p.rollOut(hasty, client)
		if drain.During.Ends == nil || drain.During.Ends.Unanswered == 0 {
			t.Errorf("the drain is %+v", drain)
		}
		p.judged(v1alpha1.VerdictFail)
	})
	t.Run("a client that knows one endpoint of a headless Service", func(t *testing.T) {
		t.Parallel()
		p := newPlace(t, nil)
		headless := serverService()
		headless.Spec.ClusterIP, headless.Spec.Ports[0].Port = corev1.ClusterIPNone, 8080
		client := caller(p.namespace, 20)
		client.Spec.Template.Spec.Containers[0].Args[1] = fmt.Sprintf("--target=http://server.%s.svc:8080/", p.namespace)
		p.create(headless)
		drain := p.rollOut(server(1), client)
		if drain.Endpoints < 1 || drain.Pods != 1 || drain.Before != nil || drain.During.Failed == 0 {
			t.Errorf("the drain is %+v", drain)
		}
		p.judged(v1alpha1.VerdictFail)
	})
}

// rollOut rolls a server out once its client is observed, and waits until the report tells what came of it.
func (p place) rollOut(server, client *appsv1.Deployment) v1alpha1.Drain {
	p.Helper()
	// All new pods start at once, so that the old ones leave at nearly the same time.
	server.Spec.Strategy.RollingUpdate = &appsv1.RollingUpdateDeployment{MaxSurge: new(intstr.FromString("100%")), MaxUnavailable: new(intstr.FromInt32(0))}
	p.create(server)
	p.await(2*time.Minute, "the server is ready", func(ctx context.Context) error { return p.available(ctx, server.Name) })
	watched := policy()
	watched.Spec.Observe.Pods = new(int32(1))
	watched.Spec.Probe.Measurements = []v1alpha1.MeasurementName{"handshake"} // other tests need the places of probes
	p.create(client, watched)
	// The last reading from before endpoints leave has to be some seconds old when they do.
	p.await(4*time.Minute, "the client was observed a while ago", func(ctx context.Context) error {
		report := &v1alpha1.ConnectionReport{}
		if err := p.get(ctx, policyName+"-server", report); err != nil {
			return err
		}
		for _, o := range report.Status.Observers {
			// Only a rate says that connections were counted: with those of before is compared.
			if o.Outcome == "measured" && o.ConnectionsPerSecond != nil && *o.ConnectionsPerSecond > 0 && time.Since(o.Time.Time) > 15*time.Second {
				return nil
			}
		}
		return fmt.Errorf("the observers are %+v", report.Status.Observers)
	})
	running := &appsv1.Deployment{}
	if err := p.get(p.Context(), server.Name, running); err != nil {
		p.Fatal(err)
	}
	change(p, running, func(d *appsv1.Deployment) {
		d.Spec.Template.Annotations = map[string]string{"e2e.connpolicy.dev/revision": "2"}
	})
	var drain v1alpha1.Drain
	p.await(5*time.Minute, "the report tells of the roll-out", func(ctx context.Context) error {
		report := &v1alpha1.ConnectionReport{}
		if err := p.get(ctx, policyName+"-server", report); err != nil {
			return err
		}
		if len(report.Status.Drains) == 0 {
			return errors.New("the report tells of no drain")
		}
		drain = report.Status.Drains[0]
		return nil
	})
	p.Logf("%d endpoints left: during %s, before %s", drain.Endpoints, counted(&drain.During), counted(drain.Before))
	return drain
}

// available says by an error that not all replicas of a Deployment are.
func (p place) available(ctx context.Context, name string) error {
	d := &appsv1.Deployment{}
	if err := p.get(ctx, name, d); err != nil {
		return err
	}
	if d.Status.AvailableReplicas != *d.Spec.Replicas {
		return fmt.Errorf("%d of %d replicas are available", d.Status.AvailableReplicas, *d.Spec.Replicas)
	}
	return nil
}

// judged checks what the report says on the rule about drains.
func (p place) judged(want v1alpha1.VerdictResult) {
	p.Helper()
	report := p.report()
	for _, v := range report.Status.Judgements() {
		if v.Rule != ruleTornConnections {
			continue
		}
		p.Logf("%s %s: %s Cure: %s", v.Result, v.Severity, v.Message, v.Cure)
		if v.Result != want || want == v1alpha1.VerdictFail && v.Severity != v1alpha1.SeverityWarning {
			p.Errorf("the rule %s says %s %s, want %s", v.Rule, v.Result, v.Severity, want)
		}
		return
	}
	p.Errorf("the report has no verdict of the rule %s", ruleTornConnections)
}

func counted(c *v1alpha1.ConnectionCounts) string {
	if c == nil {
		return "unknown"
	}
	return fmt.Sprintf("opened %d, failed %d, closed %d, open %d, ends %+v", c.Opened, c.Failed, c.Closed, c.Open, c.Ends)
}
