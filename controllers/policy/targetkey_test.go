package policy

import (
	"context"
	"errors"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

func TestTargetKey(t *testing.T) {
	for host, want := range map[string]string{
		"Bank.Example.":     "bank.example:443",
		"198.18.0.9":        "198.18.0.9:443",
		"::FFFF:198.18.0.9": "198.18.0.9:443",
		"FD00:0:0::0009":    "[fd00::9]:443",
	} {
		if got := targetKey(host, "443"); got != want {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
	}
}

// directory is a cache that holds Services.
type directory struct {
	client.Client
	services []corev1.Service
	err      error
}

func (d directory) Get(_ context.Context, key client.ObjectKey, object client.Object, _ ...client.GetOption) error {
	for i := range d.services {
		if client.ObjectKeyFromObject(&d.services[i]) == key {
			d.services[i].DeepCopyInto(object.(*corev1.Service))
			return nil
		}
	}
	if d.err != nil {
		return d.err
	}
	return apierrors.NewNotFound(schema.GroupResource{Resource: "services"}, key.Name)
}

func (d directory) List(_ context.Context, list client.ObjectList, options ...client.ListOption) error {
	asked := (&client.ListOptions{}).ApplyOptions(options)
	for i := range d.services {
		address, indexed := asked.FieldSelector.RequiresExactMatch(indexClusterIP)
		if indexed && slices.Contains(clusterIPKeys(&d.services[i]), address) {
			found := list.(*corev1.ServiceList)
			found.Items = append(found.Items, d.services[i])
		}
	}
	return d.err
}

// However a link spells its target, the limits know it by one key.
func TestOneKeyForAllSpellingsOfAService(t *testing.T) {
	named := func(namespace, name string, spec corev1.ServiceSpec) corev1.Service {
		return corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, Spec: spec}
	}
	alias := func(namespace, name, to string) corev1.Service {
		return named(namespace, name, corev1.ServiceSpec{Type: corev1.ServiceTypeExternalName, ExternalName: to})
	}
	r := &Reconciler{Client: directory{services: []corev1.Service{
		named("shop", "pay", corev1.ServiceSpec{ClusterIP: "198.19.0.1", ClusterIPs: []string{"198.19.0.1", "FD00::0001"}}),
		named("shop", "old", corev1.ServiceSpec{ClusterIP: "198.19.0.2"}),
		named("shop", "db", corev1.ServiceSpec{ClusterIP: corev1.ClusterIPNone, ClusterIPs: []string{corev1.ClusterIPNone}}),
		alias("shop", "bank", "Bank.Example."),
		alias("shop", "through", "pay.shop.svc.cluster.local"),
		alias("shop", "loop", "loop.shop.svc.cluster.local"),
	}}}
	for host, want := range map[string]string{
		"pay.shop.svc":                    "198.19.0.1:443",
		"Pay.Shop.SVC.":                   "198.19.0.1:443",
		"pay.shop.svc.cluster.local":      "198.19.0.1:443",
		"pay.shop.svc.Cluster.Local.":     "198.19.0.1:443",
		"pay.shop":                        "198.19.0.1:443",
		"pay":                             "198.19.0.1:443",
		"pay.":                            "pay:443",
		"pay.shop.":                       "pay.shop:443",
		"pay.shop.svc.example":            "pay.shop.svc.example:443",
		"pay.cluster.local":               "pay.cluster.local:443",
		"0.pay.shop.svc.cluster.local":    "0.pay.shop.svc.cluster.local:443",
		"pay.other.svc":                   "pay.other.svc:443",
		"198.19.0.1":                      "198.19.0.1:443",
		"fd00::1":                         "198.19.0.1:443",
		"::ffff:198.19.0.1":               "198.19.0.1:443",
		"198.19.0.2":                      "198.19.0.2:443",
		"old.shop.svc":                    "198.19.0.2:443",
		"198.19.0.3":                      "198.19.0.3:443",
		"db.shop.svc.cluster.local":       "db.shop.svc:443",
		"db":                              "db.shop.svc:443",
		"bank.shop.svc":                   "bank.example:443",
		"bank.example":                    "bank.example:443",
		"through.shop.svc":                "198.19.0.1:443",
		"loop.shop.svc":                   "loop.shop.svc.cluster.local:443",
		"loop.shop.svc.cluster.local":     "loop.shop.svc.cluster.local:443",
		"www.connpolicy.example":          "www.connpolicy.example:443",
		"a.name.of.many.labels.example":   "a.name.of.many.labels.example:443",
		"198.19.0.1.shop.svc":             "198.19.0.1.shop.svc:443",
		"through.shop.svc.cluster.local.": "198.19.0.1:443",
	} {
		got, err := r.resolveKey(t.Context(), "shop", host, "443")
		if err != nil || got != want {
			t.Errorf("%s: %s, want %s; error %v", host, got, want, err)
		}
	}
}

func TestAKeyThatCannotBeResolvedIsAnError(t *testing.T) {
	away := errors.New("the cache has not started")
	r := &Reconciler{Client: directory{err: away}}
	for _, host := range []string{"pay.shop.svc", "198.19.0.1"} {
		if _, err := r.resolveKey(t.Context(), "shop", host, "443"); !errors.Is(err, away) {
			t.Errorf("%s: error %v", host, err)
		}
	}
}
