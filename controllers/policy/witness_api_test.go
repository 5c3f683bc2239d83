package policy_test

import (
	"fmt"
	"net"
	"net/http"
	"reflect"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/result"
)

// watched is a pod of a workload in which an observer looks, which the test plays.
type watched struct {
	shop
	// destination that its sockets name.
	destination string
	began       time.Time
	// opened, failed, orderly and reset are what the observer has counted.
	opened, failed, orderly, reset atomic.Int64
	// read is when it was read last, in Unix nanoseconds.
	read atomic.Int64
}

// podIP is where the observer of the watched pod answers: the other pods' is 127.0.0.1.
const podIP = "127.0.0.2"

// startWatched has a policy observe a pod that connects to a Service with one endpoint.
func startWatched(t *testing.T, c *cluster, port int) *watched {
	t.Helper()
	w := &watched{shop: c.newShop(t, "drained"), began: time.Now().Add(-time.Hour)}
	w.opened.Store(1000)
	w.orderly.Store(980)
	w.addService(t, "server", "198.18.1.1")
	var service corev1.Service
	if err := c.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "server"}, &service); err != nil {
		t.Fatal(err)
	}
	w.destination = net.JoinHostPort(service.Spec.ClusterIP, "80")
	w.serve(t, port)

	w.addWorkload(t, false, "node-1")
	pod := w.client(t)
	pod.Status.PodIP, pod.Status.PodIPs = podIP, []corev1.PodIP{{IP: podIP}}
	w.updateStatus(t, pod)
	w.addPolicy(t, "p", func(spec *v1alpha1.ConnectionPolicySpec) { spec.Observe.Pods = new(int32(1)) }, "server")
	eventually(t, func() string {
		if pod = w.client(t); !observer.Present(pod) {
			return "the pod got no observer"
		}
		return ""
	})
	pod.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: observer.Name, Image: "probe:test", ImageID: "probe",
		State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}}}
	w.updateStatus(t, pod)
	w.finish(t, w.liveProbe(t, "p"))
	w.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionTrue, v1alpha1.ReasonSucceeded)
	return w
}

func (w *watched) client(t *testing.T) *corev1.Pod {
	t.Helper()
	var pod corev1.Pod
	if err := w.c.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "client-5f-0"}, &pod); err != nil {
		t.Fatal(err)
	}
	return &pod
}

// serve answers as the observer of the pod.
func (w *watched) serve(t *testing.T, port int) {
	t.Helper()
	var config net.ListenConfig
	listener, err := config.Listen(t.Context(), "tcp", net.JoinHostPort(podIP, strconv.Itoa(port)))
	if err != nil {
		t.Fatal(err)
	}
	routes := http.NewServeMux()
	routes.HandleFunc("/metrics", func(response http.ResponseWriter, _ *http.Request) {
		w.read.Store(time.Now().UnixNano())
		fmt.Fprintf(response, "%s{version=%q,kernel=\"6.18\"} 1\n%s %f\n%s{port=\"8080\"} 1\n", result.MetricObserverInfo, result.Version,
			result.MetricUptimeSeconds, time.Since(w.began).Seconds(), result.MetricListening)
		for metric, value := range map[string]int64{
			result.MetricPortsInUse: 20, result.MetricOpen: 20,
			result.MetricOpened: w.opened.Load(), result.MetricFailed: w.failed.Load(), result.MetricClosed: w.orderly.Load() + w.reset.Load(),
		} {
			fmt.Fprintf(response, "%s{destination=%q} %d\n", metric, w.destination, value)
		}
		for manner, value := range map[string]int64{"orderly": w.orderly.Load(), "unanswered": 0, "reset": w.reset.Load(), "resetHere": 0, "silent": 0} {
			fmt.Fprintf(response, "%s{destination=%q,manner=%q} %d\n", result.MetricEnds, w.destination, manner, value)
		}
	})
	server := &http.Server{Handler: routes, ReadHeaderTimeout: patience}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
}

// offer replaces the endpoints of the Service.
func (w *watched) offer(t *testing.T, endpoints ...discoveryv1.Endpoint) {
	t.Helper()
	var slice discoveryv1.EndpointSlice
	if err := w.c.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "server-1"}, &slice); err != nil {
		t.Fatal(err)
	}
	slice.Endpoints = endpoints
	if err := w.c.admin.Update(t.Context(), &slice); err != nil {
		t.Fatal(err)
	}
}

func (w *watched) report(t *testing.T) *v1alpha1.ConnectionReport {
	t.Helper()
	var report v1alpha1.ConnectionReport
	if err := w.c.admin.Get(t.Context(), client.ObjectKey{Namespace: w.namespace, Name: "p-server"}, &report); err != nil {
		t.Fatal(err)
	}
	return &report
}

// verdict is what the report says on the rule about drains.
func (w *watched) verdict(t *testing.T) v1alpha1.Verdict {
	t.Helper()
	for _, v := range w.report(t).Status.Judgements() {
		if v.Rule == "CP813" {
			return v
		}
	}
	return v1alpha1.Verdict{}
}

// within waits for longer than eventually: observers are read every twenty seconds.
func within(t *testing.T, patience time.Duration, wrong func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if last = wrong(); last == "" {
			return
		}
	}
	t.Fatal(last)
}

// The one endpoint of a Service is replaced by another, with none in between: what the connections came to is told when there
// is a target to tell it of.
func drained(t *testing.T, w *watched) {
	if v := w.verdict(t); v.Result != v1alpha1.VerdictNotApplicable {
		t.Errorf("before any endpoint left the verdict is %+v", v)
	}
	within(t, 2*time.Minute, func() string { // as the last reading before they leave
		if age := time.Since(time.Unix(0, w.read.Load())); age < 11*time.Second || age > 50*time.Second {
			return fmt.Sprintf("the observer was read %s ago", age)
		}
		return ""
	})
	w.opened.Add(60)
	w.failed.Add(12)
	w.orderly.Add(40)
	w.reset.Add(8)
	left := time.Now()
	w.offer(t, discoveryv1.Endpoint{Addresses: []string{"198.18.1.1"}, Conditions: discoveryv1.EndpointConditions{Ready: new(false), Terminating: new(true)}})
	w.waitFor(t, "p", v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonNoEndpoints)
	w.offer(t)
	gone := time.Now()
	within(t, 2*time.Minute, func() string {
		if read := time.Unix(0, w.read.Load()); read.Before(gone.Add(16 * time.Second)) {
			return fmt.Sprintf("the observer was read %s after the endpoint was gone", read.Sub(gone))
		}
		return ""
	})
	if drains := w.report(t).Status.Drains; len(drains) > 0 {
		t.Errorf("the report of a link in trouble was written: %+v", drains)
	}
	w.offer(t, discoveryv1.Endpoint{Addresses: []string{"198.18.1.2"}, Conditions: discoveryv1.EndpointConditions{Ready: new(true)}})
	// That the endpoint is gone is seen at a reading, and another has to come after.
	within(t, 2*time.Minute, func() string {
		if len(w.report(t).Status.Drains) == 0 {
			return "no drain is told"
		}
		return ""
	})
	d := w.report(t).Status.Drains[0]
	if d.Endpoints != 1 || d.StillListed != 0 || d.Pods != 1 || d.StartTime.Time.Before(left.Add(-2*time.Second)) || d.EndTime.Time.Before(gone.Add(14*time.Second)) {
		t.Errorf("the drain is %+v", d)
	}
	during := v1alpha1.ConnectionCounts{Opened: 60, Failed: 12, Closed: 48, Open: 20, Ends: &v1alpha1.ConnectionEnds{Orderly: 40, Reset: 8}}
	before := v1alpha1.ConnectionCounts{Opened: 1000, Closed: 980, Open: 20, Ends: &v1alpha1.ConnectionEnds{Orderly: 980}}
	if !reflect.DeepEqual(d.During, during) || !reflect.DeepEqual(d.Before, &before) {
		t.Errorf("during %+v, before %+v", d.During, d.Before)
	}
	if v := w.verdict(t); v.Result != v1alpha1.VerdictFail || v.Severity != v1alpha1.SeverityWarning || v.Evidence["failed"] != "12" || v.Evidence["reset"] != "8" {
		t.Errorf("the verdict is %+v", v)
	}
	eventually(t, func() string {
		if events := w.events(t); events["Warning Finding"] == 0 {
			return fmt.Sprintf("no event tells of it: %v", events)
		}
		return ""
	})
}

// A manager that was not there when endpoints left judges by what the report tells.
func stillJudged(t *testing.T, w *watched) {
	told := w.report(t).Status.Drains
	eventually(t, func() string {
		p := w.policy(t, "p")
		p.Spec.Audit = &v1alpha1.AuditSpec{Severities: []v1alpha1.RuleSeverity{{Rule: "CP813", Severity: v1alpha1.SeverityError}}}
		if err := w.c.admin.Update(t.Context(), p); err != nil {
			return err.Error()
		}
		return ""
	})
	eventually(t, func() string {
		if v := w.verdict(t); v.Result != v1alpha1.VerdictFail || v.Severity != v1alpha1.SeverityError || v.OwnSeverity != v1alpha1.SeverityWarning {
			return fmt.Sprintf("the verdict is %+v", v)
		}
		return ""
	})
	if now := w.report(t).Status.Drains; len(now) != 1 || !now[0].StartTime.Equal(&told[0].StartTime) || !reflect.DeepEqual(now[0].During, told[0].During) {
		t.Errorf("the drains are %+v, were %+v", now, told)
	}
	if err := w.c.admin.Delete(t.Context(), w.policy(t, "p")); err != nil {
		t.Fatal(err)
	}
}
