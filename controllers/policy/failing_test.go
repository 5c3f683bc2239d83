package policy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/limits"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/probes/result"
)

// server is an API server that answers with errors: to the count of pods, to the creation of a link's pods, and to each
// write of a status.
type server struct {
	client.Client
	count  error
	create map[string]error
	write  error
	// report exists, though the cache does not have it.
	report *v1alpha1.ConnectionReport
	// deleted: something was.
	deleted bool
}

func (s *server) Delete(context.Context, client.Object, ...client.DeleteOption) error {
	s.deleted = true
	return nil
}

func (s server) Scheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	scheme.AddKnownTypes(v1alpha1.GroupVersion, &v1alpha1.ConnectionPolicy{})
	return scheme
}

func (s server) Get(_ context.Context, _ client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	s.report.DeepCopyInto(object.(*v1alpha1.ConnectionReport))
	return nil
}

func (s server) List(context.Context, client.ObjectList, ...client.ListOption) error { return s.count }

func (s server) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	for link, err := range s.create {
		if strings.HasPrefix(object.GetName(), "p-"+link+"-") {
			return err
		}
	}
	if _, isReport := object.(*v1alpha1.ConnectionReport); isReport && s.report != nil {
		return apierrors.NewAlreadyExists(schema.GroupResource{Resource: "connectionreports"}, object.GetName())
	}
	return nil
}

func (s server) Status() client.SubResourceWriter { return statusServer{err: s.write} }

type statusServer struct {
	client.SubResourceWriter
	err error
}

func (s statusServer) Patch(context.Context, client.Object, client.Patch, ...client.SubResourcePatchOption) error {
	return s.err
}

func scopeOf(links ...string) *scope {
	policy := &v1alpha1.ConnectionPolicy{ObjectMeta: metav1.ObjectMeta{Name: "p", Namespace: "shop", UID: "uid"}}
	for _, name := range links {
		policy.Spec.To = append(policy.Spec.To, v1alpha1.Link{Name: name, Protocol: v1alpha1.ProtocolTCP})
	}
	return newScope(policy, begin)
}

func TestWhatRefusesAPod(t *testing.T) {
	answer := func(code int32, message string) error {
		return &apierrors.StatusError{ErrStatus: metav1.Status{Status: metav1.StatusFailure, Code: code, Message: message}}
	}
	for _, test := range []struct {
		name    string
		err     error
		refused bool
	}{
		{"quota", apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "x", errors.New("exceeded quota")), true},
		{"a webhook, without a reason", answer(http.StatusBadRequest, `admission webhook "x" denied the request: no`), true},
		{"a webhook, as a conflict", answer(http.StatusConflict, `admission webhook "x" denied the request: no`), true},
		{"a webhook that does not answer", apierrors.NewInternalError(errors.New(`failed calling webhook "x": connection refused`)), true},
		{"another internal error", apierrors.NewInternalError(errors.New("etcd is away")), false},
		{"too many requests", apierrors.NewTooManyRequests("later", 1), false},
		{"no namespace", answer(http.StatusNotFound, "namespace not found"), false},
		{"no connection", errors.New("connection refused"), false},
	} {
		if got := refuses(fmt.Errorf("wrapped: %w", test.err)); got != test.refused {
			t.Errorf("%s: refused %t", test.name, got)
		}
	}
}

func TestAnErrorOfOneLinkLeavesTheOthers(t *testing.T) {
	api := &server{create: map[string]error{
		"a": errors.New("connection refused"),
		"b": apierrors.NewInternalError(errors.New(`failed calling webhook "x": connection refused`)),
	}}
	s := scopeOf("a", "b", "c")
	r := &Reconciler{Places: &limits.Places{Reader: api, Writer: api, InCluster: 9, OnNode: 9, Now: time.Now}}
	err := r.probe(t.Context(), s)
	if err == nil || !strings.Contains(err.Error(), "link a: ") || strings.Contains(err.Error(), "link b: ") {
		t.Errorf("error %v", err)
	}
	if pods := s.links[1].status.Run.Pods; len(pods) != 1 || pods[0].Outcome != string(result.Failed) {
		t.Errorf("the refused pod: %+v", pods)
	}
	if pods := s.links[2].status.Run.Pods; len(pods) != 1 || pods[0].Outcome != "" {
		t.Errorf("the link beside it: %+v", pods)
	}
}

// A missing right to list pods is not a refusal of the pod.
func TestAnUncountedPlaceIsAnError(t *testing.T) {
	api := &server{count: apierrors.NewForbidden(schema.GroupResource{Resource: "pods"}, "", errors.New("may not list"))}
	s := scopeOf("a")
	r := &Reconciler{Places: &limits.Places{Reader: api, Writer: api, InCluster: 9, OnNode: 9, Now: time.Now}}
	if err := r.probe(t.Context(), s); !errors.Is(err, limits.ErrUncounted) || len(s.links[0].status.Run.Pods) != 0 {
		t.Errorf("error %v, run %+v", err, s.links[0].status.Run)
	}
}

func TestAResultWaitsForItsReport(t *testing.T) {
	for _, write := range []error{nil, errors.New("the API server is away")} {
		s := scopeOf("a")
		api := &server{write: write}
		r := &Reconciler{Client: api, Places: &limits.Places{Reader: api, Writer: api, InCluster: 9, OnNode: 9, Now: time.Now}}
		if err := r.probe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		l := s.links[0]
		under := l.status.Run.Pods[0]
		l.report = &v1alpha1.ConnectionReport{}
		s.pods = []corev1.Pod{finishedPod(t, under)}
		if err := r.probe(t.Context(), s); err != nil || l.status.Run.Pods[0].Outcome != string(result.Measured) {
			t.Fatalf("error %v, run %+v", err, l.status.Run)
		}
		if err := r.audit(t.Context(), s); !errors.Is(err, write) {
			t.Fatal(err)
		}
		want := string(result.Measured)
		if write != nil {
			want = ""
		}
		if got := l.status.Run.Pods[0].Outcome; got != want {
			t.Errorf("write %v: outcome %q is recorded, want %q", write, got, want)
		}
	}
}

// A request is answered by a run; while none can begin it stands.
func TestARequestWaitsForARun(t *testing.T) {
	api := &server{}
	r := &Reconciler{Client: api, Places: &limits.Places{Reader: api, Writer: api, InCluster: 9, OnNode: 9, Now: time.Now}}
	for _, test := range []struct {
		name    string
		trouble map[string]trouble
		want    string
	}{
		{"no link can be measured", map[string]trouble{"a": {"x", "x"}, "b": {"x", "x"}}, ""},
		{"one of two can", map[string]trouble{"a": {"x", "x"}}, "now"},
		{"both can", nil, "now"},
	} {
		s := scopeOf("a", "b")
		s.policy.Annotations = map[string]string{v1alpha1.AnnotationRequestedAt: "now"}
		for _, l := range s.links {
			l.trouble = test.trouble[l.spec.Name]
		}
		if err := r.probe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := s.policy.Status.LastHandledRequestedAt; got != test.want {
			t.Errorf("%s: handled %q, want %q", test.name, got, test.want)
		}
	}
}

// What comes in beside a trouble is read again when the trouble is over.
func TestAResultOutlivesTheTroubleOfItsLink(t *testing.T) {
	earlier := &v1alpha1.ConnectionReport{Spec: v1alpha1.ConnectionReportSpec{PolicyName: "p", LinkName: "a"}}
	for name, trouble := range map[string]func(s *scope, api *server){
		"the Service has gone":       func(s *scope, _ *server) { s.links[0].trouble = trouble{v1alpha1.ReasonServiceNotFound, "x"} },
		"the workload has gone":      func(s *scope, _ *server) { s.source.trouble = trouble{v1alpha1.ReasonWorkloadNotFound, "x"} },
		"the report is another's":    func(_ *scope, api *server) { api.report = &v1alpha1.ConnectionReport{} },
		"the cache lacks the report": func(s *scope, api *server) { api.report = ownReport(s) },
		"an earlier policy left one": func(_ *scope, api *server) { api.report = earlier.DeepCopy() },
	} {
		s := scopeOf("a")
		api := &server{}
		r := &Reconciler{Client: api, Live: api, Places: &limits.Places{Reader: api, Writer: api, InCluster: 9, OnNode: 9, Now: time.Now}}
		if err := r.probe(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		l := s.links[0]
		s.pods = []corev1.Pod{finishedPod(t, l.status.Run.Pods[0])}
		trouble(s, api)
		if err := r.probe(t.Context(), s); err != nil || l.status.Run.Pods[0].Outcome != string(result.Measured) {
			t.Fatalf("%s: error %v, run %+v", name, err, l.status.Run)
		}
		if err := r.audit(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if got := l.status.Run.Pods[0].Outcome; got != "" {
			t.Errorf("%s: outcome %q is recorded, and no report has it", name, got)
		}
		if mayGo := api.report != nil && api.report.Spec == earlier.Spec && len(api.report.OwnerReferences) == 0; api.deleted != mayGo {
			t.Errorf("%s: the report was deleted: %t", name, api.deleted)
		}
	}
}

func ownReport(s *scope) *v1alpha1.ConnectionReport {
	return &v1alpha1.ConnectionReport{
		ObjectMeta: metav1.ObjectMeta{OwnerReferences: []metav1.OwnerReference{
			*metav1.NewControllerRef(s.policy, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"))}},
		Spec: v1alpha1.ConnectionReportSpec{PolicyName: s.policy.Name, LinkName: s.links[0].spec.Name},
	}
}

func finishedPod(t *testing.T, known v1alpha1.ProbePodStatus) corev1.Pod {
	t.Helper()
	text, err := result.EncodeMessage(fullResult(), 4096)
	if err != nil {
		t.Fatal(err)
	}
	pod := corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: known.Name}}
	pod.Status.Phase = corev1.PodSucceeded
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: probepod.ContainerName,
		State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: string(text)}}}}
	return pod
}
