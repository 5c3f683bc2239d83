package apiserver

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	controllerconfig "sigs.k8s.io/controller-runtime/pkg/config"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// Operator is the user that the operator is.
const Operator = "system:serviceaccount:connpolicy-system:connpolicy-manager"

// NewScheme knows the kinds of Kubernetes and of connpolicy, and those that are added.
func NewScheme(t testing.TB, added ...func(*runtime.Scheme) error) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range append(added, clientgoscheme.AddToScheme, v1alpha1.AddToScheme) {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	return scheme
}

// NewClient returns a client that keeps nothing.
func NewClient(t testing.TB, config *rest.Config, scheme *runtime.Scheme) client.Client {
	t.Helper()
	made, err := client.New(config, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// As acts with the rights of a user, and no others.
func As(config *rest.Config, user string, groups ...string) *rest.Config {
	as := rest.CopyConfig(config)
	as.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: append(groups, "system:authenticated")}
	return as
}

// NewManager returns a manager that acts as the operator, with the rest of the options as cmd/manager has them.
func NewManager(t testing.TB, config *rest.Config, options ctrl.Options) ctrl.Manager {
	t.Helper()
	options.Metrics = metricsserver.Options{BindAddress: "0"}
	options.Client.Cache = &client.CacheOptions{EnableReadYourWritesConsistency: new(true)}
	// Two managers of one process may have controllers of one name.
	options.Controller = controllerconfig.Controller{SkipNameValidation: new(true)}
	manager, err := ctrl.NewManager(As(config, Operator), options)
	if err != nil {
		t.Fatal(err)
	}
	return manager
}

// Run runs a manager until the function that it returns is called.
func Run(t testing.TB, manager ctrl.Manager) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- manager.Start(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the manager stopped: %v", err)
		}
	}
}

// AddNode creates a node that takes pods. The API server taints a new node; this takes the taint away, as the node
// controller would.
func AddNode(t testing.TB, admin client.Client, name string, info corev1.NodeSystemInfo) {
	t.Helper()
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux"}}}
	if err := admin.Create(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	node.Spec.Taints = nil
	if err := admin.Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
	node.Status.NodeInfo = info
	node.Status.Conditions = []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}
	if err := admin.Status().Update(t.Context(), node); err != nil {
		t.Fatal(err)
	}
}
