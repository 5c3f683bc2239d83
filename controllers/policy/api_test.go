package policy_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/internal/vantage"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/test/apiserver"
)

// The controller on a real API server, with its manifests and its rights. Pods are played by the test.
func TestOnAnAPIServer(t *testing.T) {
	c := startCluster(t)
	apiserver.AddNode(t, c.admin, "ready-node", corev1.NodeSystemInfo{})
	port := serveObserver(t)
	var forgets atomic.Bool
	stop := c.startManager(t, &forgets, port)
	atWatch := startWatched(t, c, port)

	t.Run("a link is measured from two nodes, judged and reported", func(t *testing.T) { measured(t, c) })
	t.Run("a report holds what the probe wrote", func(t *testing.T) { asWritten(t, c) })
	t.Run("what is absent is a condition, and other links go on", func(t *testing.T) { absent(t, c) })
	t.Run("a link whose report's name is taken is not measured", func(t *testing.T) { nameTaken(t, c) })
	t.Run("a policy that is made anew reports anew", func(t *testing.T) { madeAnew(t, c) })
	t.Run("a workload on the node's network stalls", func(t *testing.T) { hostNetwork(t, c) })
	t.Run("a pod that is lost or refused is an outcome", func(t *testing.T) { lostAndRefused(t, c) })
	t.Run("one probe at a time on a target", func(t *testing.T) { oneAtATime(t, c) })
	t.Run("the probe of a server is counted on a node", func(t *testing.T) { serverAlone(t, c) })
	t.Run("silence is looked at beside the other runs", func(t *testing.T) { lookedAtSilence(t, c) })
	t.Run("a ConfigMap that is absent is an outcome with its name", func(t *testing.T) { absentConfigMap(t, c) })
	t.Run("a suspended policy stops", func(t *testing.T) { suspended(t, c) })
	t.Run("an observer is added and read", func(t *testing.T) { observing(t, c) })
	t.Run("what connections came to when endpoints left is told", func(t *testing.T) { drained(t, atWatch) })
	t.Run("a pod whose creation was not recorded is found again", func(t *testing.T) { forgotten(t, c, &forgets) })
	t.Run("a new manager goes on where the old one stopped", func(t *testing.T) {
		stop = restarted(t, c, stop, &forgets, port)
	})
	stop()
	t.Run("what connections came to is judged by a new manager too", func(t *testing.T) {
		defer c.startManager(t, &forgets, port)()
		stillJudged(t, atWatch)
	})
	t.Run("a finding is told once, and once when it is cured", func(t *testing.T) { told(t, c, &forgets, port) })
	t.Run("what the workload's sockets showed is cured when it is over", func(t *testing.T) { over(t, c, &forgets) })
}

// serveObserver answers as an observer of an older version does, which tells totals alone.
func serveObserver(t *testing.T) (port int) {
	t.Helper()
	metrics, err := os.ReadFile("../../internal/observer/testdata/client.prom")
	if err != nil {
		t.Fatal(err)
	}
	return serveMetrics(t, func(path string) string {
		if path != result.PathMetrics {
			return ""
		}
		return string(metrics)
	})
}

// serveMetrics answers as an observer in a pod does, with 404 where there is no answer. The pods of the tests have the
// address 127.0.0.1.
func serveMetrics(t *testing.T, answer func(path string) string) (port int) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text := answer(r.URL.Path)
		if text == "" {
			http.NotFound(w, r)
			return
		}
		if _, err := io.WriteString(w, text); err != nil {
			t.Log(err)
		}
	}))
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	if port, err = strconv.Atoi(address.Port()); err != nil {
		t.Fatal(err)
	}
	return port
}

func measured(t *testing.T, c *cluster) {
	s := c.newShop(t, "measured")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1", "node-2")
	s.addPolicy(t, "p", nil, "server")

	s.waitFor(t, "p", v1alpha1.ConditionReconciling, metav1.ConditionTrue, v1alpha1.ReasonProgressing)
	first := s.liveProbe(t, "p")
	if first.Spec.NodeName != "" || first.Annotations[v1alpha1.AnnotationNode] != "node-1" {
		t.Errorf("the first pod is for node %q", first.Annotations[v1alpha1.AnnotationNode])
	}
	if config := first.Spec.DNSConfig; config == nil || *config.Options[0].Value != "2" {
		t.Errorf("names are not resolved as in the workload's pods: %+v", config)
	}
	s.finish(t, first)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	second := s.liveProbe(t, "p")
	if second.Name == first.Name || second.Annotations[v1alpha1.AnnotationNode] != "node-2" {
		t.Errorf("the second pod is %s for node %q", second.Name, second.Annotations[v1alpha1.AnnotationNode])
	}
	s.finish(t, second)
	eventually(t, func() string {
		p := s.policy(t, "p")
		if run := p.Status.Links[0].Run; run.Phase != v1alpha1.RunFinished || len(run.Pods) != 2 || p.Status.NextProbeTime == nil {
			return fmt.Sprintf("run %+v", run)
		}
		return ""
	})
	var report v1alpha1.ConnectionReport
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "p-server"}, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Status.Vantages) != 2 || len(report.Status.Verdicts) == 0 || report.Status.KeyFigures.HandshakeP99Microseconds == nil ||
		*report.Status.KeyFigures.HandshakeP99Microseconds != 40 {
		t.Errorf("report %+v", report.Status)
	}
	if len(s.probes(t, "p")) != 2 {
		t.Errorf("%d pods were kept for their logs, want 2", len(s.probes(t, "p")))
	}

	rest := s.policy(t, "p")
	always(t, 2*time.Second, func() string {
		if now := s.policy(t, "p"); now.ResourceVersion != rest.ResourceVersion {
			return fmt.Sprintf("an idle policy is written: %+v, then %+v", rest.Status, now.Status)
		}
		return ""
	})

	rest.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
	if err := c.admin.Update(t.Context(), rest); err != nil {
		t.Fatal(err)
	}
	again := s.liveProbe(t, "p")
	if again.Labels[v1alpha1.LabelRun] == first.Labels[v1alpha1.LabelRun] {
		t.Error("the request was answered by the old run")
	}
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	eventually(t, func() string {
		if pods := s.probes(t, "p"); len(pods) != 1 {
			return fmt.Sprintf("%d pods, the last run's among them", len(pods))
		}
		return ""
	})
}

// asWritten: the API server keeps measurements of which its schema knows nothing, and little beside the report's status.
func asWritten(t *testing.T, c *cluster) {
	s := c.newShop(t, "as-written")
	s.addService(t, "server", "198.18.1.9")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", nil, "server")
	wrote := result.Measurements{
		Handshake: &result.Handshake{
			Meta:                result.Meta{Outcome: result.Measured, Samples: 67, ElapsedSeconds: 1.375},
			ConnectMicroseconds: &result.Distribution{Min: 10.25, P50: 20.5, P90: 30, P99: 40, Max: 50, P50Low: new(18.25)},
		},
		Idle: &result.Idle{
			Meta: result.Meta{Outcome: result.Measured, Samples: 30}, Cut: new(true), How: result.CutBlackHole,
			AfterSecondsAtLeast: new(281.2), AfterSecondsAtMost: new(351.0), KeepaliveHelps: new(false),
			KeepaliveLadder: &result.Ladder{Rungs: []result.Rung{{Seconds: 281.2, Alive: 4}, {Seconds: 351, BlackHole: 4}}},
		},
		SmallWrites: &result.SmallWrites{Meta: result.Meta{Outcome: result.Failed, Cause: "<refused> & \"reset\""}},
		HTTP2:       &result.HTTP2{Meta: result.Meta{Outcome: result.Unsupported, Cause: strings.Repeat("x", 2400)}},
	}
	s.finishWith(t, s.liveProbe(t, "p"), wrote)
	s.waitFor(t, "p", v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	var report v1alpha1.ConnectionReport
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "p-server"}, &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Status.Vantages) != 1 {
		t.Fatalf("vantages %+v", report.Status.Vantages)
	}
	found, err := vantage.Result(report.Status.Vantages[0], report.Status.Target)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(found.Measurements, wrote) || found.Statuses["200"] != 541 || found.Spent.BytesReceived != 64920 ||
		found.Host.Sysctls["net.ipv4.tcp_fin_timeout"] != "60" || found.Target.Protocol != "HTTP" {
		t.Errorf("the report holds %+v", found)
	}
	whole, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	status, err := json.Marshal(report.Status)
	if err != nil {
		t.Fatal(err)
	}
	// A status of at most 14.5 KiB stays under 16 KiB with what the API server adds, and with the longest names, which take
	// some 200 bytes more than these, and all of its fields, which take 100.
	if beside := len(whole) - len(status); beside > 1200 {
		t.Errorf("%d bytes beside the status: %+v", beside, report.ObjectMeta)
	}
}

func absent(t *testing.T, c *cluster) {
	s := c.newShop(t, "absent")
	s.addService(t, "there", "198.18.1.1")
	s.addService(t, "empty")
	s.addPolicy(t, "p", nil, "empty", "missing", "there")
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonWorkloadNotFound)
	s.addWorkload(t, false)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNoPods)

	other := c.newShop(t, "absent-links")
	other.addService(t, "there", "198.18.1.1")
	other.addService(t, "empty")
	other.addWorkload(t, false, "node-1")
	other.addPolicy(t, "p", nil, "empty", "missing", "there")
	other.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNoEndpoints)
	other.finish(t, other.liveProbe(t, "p"))
	message := ""
	eventually(t, func() string {
		p := other.policy(t, "p")
		message = meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady).Message
		if p.Status.Links[2].Report == "" {
			return fmt.Sprintf("the link that can be measured is not: %+v", p.Status.Links[2])
		}
		return ""
	})
	for _, words := range []string{"absent-links/empty has no ready endpoint", "absent-links/missing does not exist"} {
		if !strings.Contains(message, words) {
			t.Errorf("message %q does not say %q", message, words)
		}
	}
	other.addEndpoints(t, "empty", "198.18.1.2")
	other.finish(t, other.liveProbe(t, "p"))
	other.addService(t, "missing", "198.18.1.3")
	other.finish(t, other.liveProbe(t, "p"))
	other.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

// Policy a-b with link c and policy a with link b-c would share a report.
func nameTaken(t *testing.T, c *cluster) {
	s := c.newShop(t, "name-taken")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	link := func(name string) func(*v1alpha1.ConnectionPolicySpec) {
		return func(spec *v1alpha1.ConnectionPolicySpec) { spec.To[0].Name = name }
	}
	s.addPolicy(t, "a-b", link("c"), "server")
	s.finish(t, s.liveProbe(t, "a-b"))
	s.waitFor(t, "a-b", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	s.addPolicy(t, "a", link("b-c"), "server")
	s.waitFor(t, "a", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonInvalid)
	always(t, 2*time.Second, func() string {
		if pods := s.probes(t, "a"); len(pods) != 0 {
			return fmt.Sprintf("%d pods measure what cannot be reported", len(pods))
		}
		return ""
	})
}

// The cluster of the test collects no garbage: what a deleted policy owned stays, as its report does if it is orphaned.
func madeAnew(t *testing.T, c *cluster) {
	s := c.newShop(t, "made-anew")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	for range 2 {
		s.addPolicy(t, "p", nil, "server")
		s.finish(t, s.liveProbe(t, "p"))
		s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
		p := s.policy(t, "p")
		eventually(t, func() string {
			var report v1alpha1.ConnectionReport
			if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "p-server"}, &report); err != nil {
				return err.Error()
			}
			if !metav1.IsControlledBy(&report, p) || len(report.Status.Vantages) != 1 {
				return fmt.Sprintf("report %+v", report)
			}
			return ""
		})
		if err := c.admin.Delete(t.Context(), p); err != nil {
			t.Fatal(err)
		}
	}
}

func hostNetwork(t *testing.T, c *cluster) {
	s := c.newShop(t, "host-network")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, true)
	s.addPolicy(t, "p", nil, "server")
	s.waitFor(t, "p", v1alpha1.ConditionStalled, metav1.ConditionTrue, v1alpha1.ReasonHostNetwork)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonHostNetwork)
	if pods := s.probes(t, "p"); len(pods) != 0 {
		t.Errorf("%d probe pods", len(pods))
	}
}

func lostAndRefused(t *testing.T, c *cluster) {
	s := c.newShop(t, "lost")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", nil, "server")
	lost := s.liveProbe(t, "p")
	if err := c.admin.Delete(t.Context(), lost, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	s.waitFor(t, "p", v1alpha1.ConditionProbed, metav1.ConditionFalse, v1alpha1.ReasonProbeFailed)
	run := s.policy(t, "p").Status.Links[0].Run
	if run.Pods[0].Outcome != "lost" || run.Pods[0].Cause == "" || run.NotBefore == nil || run.Failures != 1 {
		t.Errorf("run %+v", run)
	}
	eventually(t, func() string {
		var events eventsv1.EventList
		if err := c.admin.List(t.Context(), &events, client.InNamespace(s.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, event := range events.Items {
			if event.Reason == "ProbeFailed" {
				return ""
			}
		}
		return "no event tells of the failure"
	})

	quota := c.newShop(t, "refused")
	quota.addService(t, "server", "198.18.1.1")
	quota.addWorkload(t, false, "node-1")
	limited := &corev1.LimitRange{ObjectMeta: metav1.ObjectMeta{Namespace: quota.namespace, Name: "tiny"}}
	limited.Spec.Limits = []corev1.LimitRangeItem{{Type: corev1.LimitTypeContainer, Max: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("8Mi")}}}
	quota.create(t, limited)
	quota.addPolicy(t, "p", nil, "server")
	quota.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProbeFailed)
	if message := quota.policy(t, "p").Status.Links[0].Message; !strings.Contains(message, "maximum memory usage per Container is 8Mi") {
		t.Errorf("message %q", message)
	}
}

func oneAtATime(t *testing.T, c *cluster) {
	s := c.newShop(t, "one-at-a-time")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "a", nil, "server")
	first := s.liveProbe(t, "a")
	s.addPolicy(t, "b", nil, "server")
	s.waitFor(t, "b", v1alpha1.ConditionProbed, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
	if pods := s.probes(t, "b"); len(pods) != 0 {
		t.Errorf("%d pods knock at the target beside the first", len(pods))
	}
	var server corev1.Service
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "server"}, &server); err != nil {
		t.Fatal(err)
	}
	for name, host := range map[string]string{"by-name": "Server.one-at-a-time.svc.cluster.local.", "by-address": server.Spec.ClusterIP} {
		s.addPolicy(t, name, func(spec *v1alpha1.ConnectionPolicySpec) {
			spec.To = []v1alpha1.Link{{Name: "l", Protocol: v1alpha1.ProtocolTCP, Endpoint: &v1alpha1.Endpoint{Host: host, Port: 80}}}
		})
		s.waitFor(t, name, v1alpha1.ConditionProbed, metav1.ConditionUnknown, v1alpha1.ReasonWaiting)
		if err := c.admin.Delete(t.Context(), s.policy(t, name)); err != nil {
			t.Fatal(err)
		}
	}
	s.finish(t, first)
	s.finish(t, s.liveProbe(t, "b"))
	s.waitFor(t, "b", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func serverAlone(t *testing.T, c *cluster) {
	s := c.newShop(t, "server-alone")
	s.addService(t, "server", "198.18.1.1")
	s.addPolicy(t, "p", func(spec *v1alpha1.ConnectionPolicySpec) { spec.From = nil }, "server")
	probe := s.liveProbe(t, "p")
	if node := probe.Annotations[v1alpha1.AnnotationNode]; node != "ready-node" || probe.Spec.NodeName != "" || probe.Spec.Affinity == nil {
		t.Errorf("the pod is for node %q, with affinity %+v", node, probe.Spec.Affinity)
	}
	s.finish(t, probe)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	run := s.policy(t, "p").Status.Links[0].Run
	if run.Phase != v1alpha1.RunFinished || len(run.Pods) != 1 || run.Pods[0].Node != "ready-node" {
		t.Errorf("run %+v", run)
	}
}

// withIdle has silence looked at, for ten minutes.
func withIdle(spec *v1alpha1.ConnectionPolicySpec) { spec.Probe.Limits.IdleSeconds = new(int32(600)) }

// silence is what idle finds on a path that cuts it after so many seconds.
func silence(seconds float64) result.Measurements {
	return result.Measurements{Idle: &result.Idle{
		Meta: result.Meta{Outcome: result.Measured, Samples: 30}, Cut: new(true), How: result.CutBlackHole, AfterSecondsAtMost: &seconds, LookedSeconds: 600,
	}}
}

// liveIdle waits until the pod that looks at silence is the only one that lives, and is recorded.
func (s shop) liveIdle(t *testing.T, policy string) *corev1.Pod {
	t.Helper()
	pod := s.liveProbe(t, policy)
	eventually(t, func() string {
		pod = s.liveProbe(t, policy)
		links := s.policy(t, policy).Status.Links
		if pod.Labels[v1alpha1.LabelRole] != v1alpha1.RoleIdle || links[0].IdleRun == nil || len(links[0].IdleRun.Pods) == 0 {
			return fmt.Sprintf("no pod that looks at silence; links %+v", links)
		}
		return ""
	})
	return pod
}

// waitForSilence waits until the report of a policy's link says that silence is cut after so many seconds.
func (s shop) waitForSilence(t *testing.T, policy string, seconds float64) {
	t.Helper()
	eventually(t, func() string {
		var report v1alpha1.ConnectionReport
		if err := s.c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: policy + "-server"}, &report); err != nil {
			return err.Error()
		}
		for _, v := range report.Status.Vantages {
			found, err := vantage.Result(v, nil)
			if err != nil {
				return err.Error()
			}
			if v.IdleFrom != nil && found.Measurements.Handshake != nil && *found.Measurements.Idle.AfterSecondsAtMost == seconds {
				return ""
			}
		}
		return fmt.Sprintf("the report does not say that silence is cut after %v s: %+v", seconds, report.Status.Vantages)
	})
}

func lookedAtSilence(t *testing.T, c *cluster) {
	s := c.newShop(t, "silent")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", withIdle, "server")
	s.finish(t, s.liveProbe(t, "p"))
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	s.waitFor(t, "p", v1alpha1.ConditionProbed, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	idle := s.liveIdle(t, "p")
	eventually(t, func() string {
		c := meta.FindStatusCondition(s.policy(t, "p").Status.Conditions, v1alpha1.ConditionCompliant)
		if c == nil || !strings.Contains(c.Message, "; silence is being measured until about ") {
			return fmt.Sprintf("it is not told that silence is being measured: %+v", c)
		}
		return ""
	})
	if deadline := *idle.Spec.ActiveDeadlineSeconds; deadline < 600 {
		t.Errorf("the pod that looks at ten minutes of silence has a deadline of %d s", deadline)
	}

	// The next run does not wait for it, though both are at the same target.
	p := s.policy(t, "p")
	p.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
	if err := c.admin.Update(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var next *corev1.Pod
	eventually(t, func() string {
		for _, pod := range s.probes(t, "p") {
			if pod.Labels[v1alpha1.LabelRole] == v1alpha1.RoleProbe && pod.Status.Phase == corev1.PodPending {
				next = &pod
				return ""
			}
		}
		return fmt.Sprintf("no run begins beside it: %+v", s.policy(t, "p").Status.Links)
	})
	s.finishWith(t, idle, silence(240))
	s.waitForSilence(t, "p", 240)
	s.finish(t, next)
	eventually(t, func() string {
		links := s.policy(t, "p").Status.Links
		if links[0].Run.Phase != v1alpha1.RunFinished || links[0].IdleRun.Phase != v1alpha1.RunFinished {
			return fmt.Sprintf("links %+v", links)
		}
		return ""
	})
	s.waitForSilence(t, "p", 240)
	if pods := s.probes(t, "p"); len(pods) != 2 || !slices.ContainsFunc(pods, func(pod corev1.Pod) bool { return pod.UID == idle.UID }) {
		t.Errorf("%d pods are kept for their logs, want that of the last run and the silent one", len(pods))
	}
}

func absentConfigMap(t *testing.T, c *cluster) {
	s := c.newShop(t, "absent-configmap")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", func(spec *v1alpha1.ConnectionPolicySpec) {
		spec.To[0].Protocol = v1alpha1.ProtocolHTTPS
		spec.To[0].TLS = &v1alpha1.TLSClient{CAConfigMap: &v1alpha1.ConfigMapKey{Name: "shop-ca"}}
	}, "server")
	pod := s.liveProbe(t, "p")
	pod.Status.Phase = corev1.PodFailed
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: probepod.ContainerName, Image: "probe:test", ImageID: "probe",
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ExitCode: 2, Reason: "Error",
			Message: "probe run: usage: --tls-ca: open /connpolicy/configmap/shop-ca/ca.crt: no such file or directory\n"}}}}
	s.updateStatus(t, pod)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonProbeFailed)
	message := meta.FindStatusCondition(s.policy(t, "p").Status.Conditions, v1alpha1.ConditionReady).Message
	if want := "ConfigMap shop-ca, which tls.caConfigMap names, does not exist in namespace absent-configmap"; !strings.Contains(message, want) {
		t.Errorf("message %q, want %q in it", message, want)
	}
}

func suspended(t *testing.T, c *cluster) {
	s := c.newShop(t, "suspended")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", nil, "server")
	s.liveProbe(t, "p")
	suspend := func(yes bool) {
		t.Helper()
		eventually(t, func() string {
			p := s.policy(t, "p")
			p.Spec.Suspend = yes
			if err := c.admin.Update(t.Context(), p); err != nil {
				return err.Error()
			}
			return ""
		})
	}
	suspend(true)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSuspended)
	eventually(t, func() string {
		if pods := s.probes(t, "p"); len(pods) > 0 {
			return fmt.Sprintf("%d pods of a suspended policy", len(pods))
		}
		return ""
	})
	suspend(false)
	s.finish(t, s.liveProbe(t, "p"))
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func observing(t *testing.T, c *cluster) {
	s := c.newShop(t, "observing")
	s.observed(t)
	s.waitForReport(t, func(report v1alpha1.ConnectionReport) string {
		for _, reading := range report.Status.Observers {
			if reading.Outcome == "measured" && reading.PortsAvailable != nil && *reading.PortsAvailable == 28232 && len(reading.Sysctls) > 0 {
				return ""
			}
		}
		return fmt.Sprintf("observers %+v", report.Status.Observers)
	})
}

// observed adds a policy p to a shop, and waits until its pod has an observer, which it lets run.
func (s shop) observed(t *testing.T) {
	t.Helper()
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", func(spec *v1alpha1.ConnectionPolicySpec) { spec.Observe.Pods = new(int32(2)) }, "server")
	var pod corev1.Pod
	eventually(t, func() string {
		if err := s.c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "client-5f-0"}, &pod); err != nil {
			t.Fatal(err)
		}
		if !observer.Present(&pod) {
			return "the pod got no observer"
		}
		return ""
	})
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: observer.Name, Image: "probe:test", ImageID: "probe",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
	s.updateStatus(t, &pod)
}

// waitForReport waits until nothing is missing in the report of policy p.
func (s shop) waitForReport(t *testing.T, missing func(v1alpha1.ConnectionReport) string) {
	t.Helper()
	eventually(t, func() string {
		var report v1alpha1.ConnectionReport
		if err := s.c.admin.Get(t.Context(), client.ObjectKey{Namespace: s.namespace, Name: "p-server"}, &report); err != nil {
			return err.Error()
		}
		return missing(report)
	})
}

// over lets a pod's connections end for want of memory, and then not any more. Totals hold it for ever. The manager that sees
// it cured is another than the one that saw it: the observer remembers.
func over(t *testing.T, c *cluster, forgets *atomic.Bool) {
	seen, err := os.ReadFile("../../internal/observer/testdata/recent.prom")
	if err != nil {
		t.Fatal(err)
	}
	var lately atomic.Int64
	lately.Store(40)
	port := serveMetrics(t, func(path string) string {
		var text strings.Builder
		for line := range strings.Lines(string(seen)) {
			name, _, _ := strings.Cut(line, "{")
			name, _, _ = strings.Cut(name, " ")
			ofMemory := strings.Contains(line, `"TcpExt.TCPAbortOnMemory"`)
			switch {
			case name == result.MetricUptimeSeconds:
				line = name + " 864000\n"
			case path == result.PathMetrics && (name == result.MetricPeriodSeconds || name == result.MetricCounterChange):
				continue
			case name == result.MetricPeriodSeconds:
				line = name + " 3900\n"
			case name == result.MetricCounter && ofMemory:
				line = strings.Replace(line, "} 0", "} 500", 1)
			case name == result.MetricCounterChange && ofMemory:
				line = strings.Replace(line, "} 0", fmt.Sprintf("} %d", lately.Load()), 1)
			}
			text.WriteString(line)
		}
		return text.String()
	})
	verdict := func(want v1alpha1.VerdictResult, words string) func(v1alpha1.ConnectionReport) string {
		return func(report v1alpha1.ConnectionReport) string {
			for _, v := range report.Status.Verdicts {
				if v.Rule == "CP807" && v.Result == want && strings.Contains(v.Message, words) {
					return ""
				}
			}
			return fmt.Sprintf("verdicts %+v", report.Status.Verdicts)
		}
	}

	stop := c.startManager(t, forgets, port)
	s := c.newShop(t, "over")
	s.observed(t)
	s.finish(t, s.liveProbe(t, "p"))
	s.waitForReport(t, verdict(v1alpha1.VerdictFail, "The kernel ended 40 connections of pod client-5f-0 for want of memory in the last 65 minutes."))
	s.waitForRuleEvent(t, "Finding", "CP807")
	stop()

	lately.Store(0)
	stop = c.startManager(t, forgets, port)
	defer stop()
	s.waitForReport(t, verdict(v1alpha1.VerdictPass, "No connection of pod client-5f-0 was ended for want of memory in the last 65 minutes."))
	s.waitForRuleEvent(t, "FindingCured", "CP807")
}

// waitForRuleEvent waits until something was told of a rule.
func (s shop) waitForRuleEvent(t *testing.T, reason, rule string) {
	t.Helper()
	eventually(t, func() string {
		var list eventsv1.EventList
		if err := s.c.admin.List(t.Context(), &list, client.InNamespace(s.namespace)); err != nil {
			t.Fatal(err)
		}
		for _, event := range list.Items {
			if event.Reason == reason && strings.Contains(event.Note, rule) {
				return ""
			}
		}
		return fmt.Sprintf("no event %s of %s among %v", reason, rule, s.events(t))
	})
}

func forgotten(t *testing.T, c *cluster, forgets *atomic.Bool) {
	s := c.newShop(t, "forgotten")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	forgets.Store(true)
	s.addPolicy(t, "p", nil, "server")
	pod := s.liveProbe(t, "p")
	always(t, 3*time.Second, func() string {
		if pods := s.probes(t, "p"); len(pods) != 1 || pods[0].UID != pod.UID {
			return fmt.Sprintf("%d pods, after one was created and not recorded", len(pods))
		}
		return ""
	})
	forgets.Store(false)
	eventually(t, func() string {
		links := s.policy(t, "p").Status.Links
		if len(links) == 0 || links[0].Run == nil || len(links[0].Run.Pods) != 1 || links[0].Run.Pods[0].UID != string(pod.UID) {
			return fmt.Sprintf("the pod was not found again: %+v", links)
		}
		return ""
	})
	s.finish(t, pod)
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
}

func restarted(t *testing.T, c *cluster, stop func(), forgets *atomic.Bool, port int) (stopNew func()) {
	s := c.newShop(t, "restarted")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", nil, "server")
	pod := s.liveProbe(t, "p")
	eventually(t, func() string {
		if links := s.policy(t, "p").Status.Links; len(links) == 0 || links[0].Run == nil || len(links[0].Run.Pods) == 0 {
			return "the pod is not recorded"
		}
		return ""
	})
	silent := c.newShop(t, "restarted-silent")
	silent.addService(t, "server", "198.18.1.1")
	silent.addWorkload(t, false, "node-1")
	silent.addPolicy(t, "p", withIdle, "server")
	silent.finish(t, silent.liveProbe(t, "p"))
	idle := silent.liveIdle(t, "p")
	stop()
	s.finish(t, pod) // while nobody looks
	silent.finishWith(t, idle, silence(350))
	stopNew = c.startManager(t, forgets, port)
	silent.waitForSilence(t, "p", 350)
	eventually(t, func() string { // the status is written after the report
		run := silent.policy(t, "p").Status.Links[0].IdleRun
		if len(run.Pods) != 1 || run.Pods[0].UID != string(idle.UID) || run.Phase != v1alpha1.RunFinished {
			return fmt.Sprintf("the run of idle is %+v", run)
		}
		return ""
	})
	s.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	run := s.policy(t, "p").Status.Links[0].Run
	if run.Phase != v1alpha1.RunFinished || len(run.Pods) != 1 || run.Pods[0].UID != string(pod.UID) || run.Pods[0].Outcome != "measured" {
		t.Errorf("run %+v", run)
	}
	if pods := s.probes(t, "p"); len(pods) != 1 {
		t.Errorf("%d pods, one was enough", len(pods))
	}
	return stopNew
}

func told(t *testing.T, c *cluster, forgets *atomic.Bool, port int) {
	stop := c.startManager(t, forgets, port)
	s := c.newShop(t, "told")
	s.addService(t, "server", "198.18.1.1")
	s.addWorkload(t, false, "node-1")
	s.addPolicy(t, "p", nil, "server")
	first := s.liveProbe(t, "p")
	eventually(t, func() string {
		if links := s.policy(t, "p").Status.Links; len(links) == 0 || links[0].Run == nil || len(links[0].Run.Pods) == 0 {
			return "the pod is not recorded"
		}
		return ""
	})
	// The report is written and the policy's status is not: the finding is told, and when the status comes it is known.
	c.conflicts.Store(true)
	s.finishAfter(t, first, 9)
	s.waitForEvents(t, map[string]int{"Warning Finding": 1})
	c.conflicts.Store(false)
	s.waitFor(t, "p", v1alpha1.ConditionCompliant, metav1.ConditionFalse, v1alpha1.ReasonFindings)

	stop()
	stop = c.startManager(t, forgets, port)
	defer stop()
	s.request(t, "p", "with the finding")
	s.finishAfter(t, s.liveProbe(t, "p"), 8)
	s.waitForRequest(t, "p", "with the finding")
	s.request(t, "p", "without it")
	s.finish(t, s.liveProbe(t, "p"))
	s.waitForEvents(t, map[string]int{"Warning Finding": 1, "Normal FindingCured": 1})
	always(t, 2*time.Second, func() string {
		if got := s.events(t); got["Warning Finding"] != 1 || got["Normal FindingCured"] != 1 {
			return fmt.Sprintf("events %v", got)
		}
		return ""
	})
	families, err := c.counts.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range families {
		for _, metric := range family.Metric {
			outcome := metric.Label[len(metric.Label)-1].GetValue()
			if got := metric.Counter.GetValue(); (outcome == "measured") != (got == 2) || outcome != "measured" && got != 0 {
				t.Errorf("%s of %s: %g, want the two results that the second manager read", family.GetName(), metric.Label, got)
			}
		}
	}
}
