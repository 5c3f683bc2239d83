package trim_test

import (
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/controllers/trim"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// What the controllers read from a pod must be the same with and without the trimming.
func TestPodKeepsWhatIsRead(t *testing.T) {
	pod := probepod.Build(probepod.Spec{Name: "p", Node: "n1", Limits: v1alpha1.ProbeLimits{Seconds: 30},
		Sysctls: []corev1.Sysctl{{Name: "net.ipv4.ip_local_port_range", Value: "1024 65535"}}})
	pod.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}
	pod.Spec.NodeName, pod.Status.Phase, pod.Status.Reason = "n1", corev1.PodFailed, "SysctlForbidden"
	pod.Spec.Volumes = []corev1.Volume{{Name: "v"}}
	trimmed, err := trim.Pod(pod.DeepCopy())
	if err != nil {
		t.Fatal(err)
	}
	kept, isPod := trimmed.(*corev1.Pod)
	if !isPod {
		t.Fatalf("%T", trimmed)
	}
	now := time.Now()
	if !equality.Semantic.DeepEqual(probepod.Read(kept, now), probepod.Read(pod, now)) {
		t.Error("a trimmed pod reads otherwise")
	}
	if !equality.Semantic.DeepEqual(kept.Spec.SecurityContext, pod.Spec.SecurityContext) || *kept.Spec.ActiveDeadlineSeconds != *pod.Spec.ActiveDeadlineSeconds ||
		!equality.Semantic.DeepEqual(kept.Labels, pod.Labels) || !equality.Semantic.DeepEqual(kept.Annotations, pod.Annotations) {
		t.Errorf("lost something: %+v", kept)
	}
	if kept.ManagedFields != nil || kept.Spec.Volumes != nil || kept.Spec.Containers[0].Args != nil || kept.Spec.Containers[0].Name == "" {
		t.Errorf("kept too much: %+v", kept.Spec)
	}
}

func TestTombstonesPass(t *testing.T) {
	tombstone := cache.DeletedFinalStateUnknown{Key: "shop/p"}
	for name, transform := range map[string]cache.TransformFunc{"pod": trim.Pod, "node": trim.Node, "ReplicaSet": trim.ReplicaSet, "any": trim.ManagedFields} {
		if got, err := transform(tombstone); err != nil || got != any(tombstone) {
			t.Errorf("%s: %v, %v", name, got, err)
		}
	}
}

func TestReplicaSetKeepsWhoseItIs(t *testing.T) {
	set := &appsv1.ReplicaSet{ObjectMeta: metav1.ObjectMeta{
		Namespace: "shop", Name: "web-5d8", UID: "uid-web-5d8", CreationTimestamp: metav1.Unix(1, 0),
		Labels:          map[string]string{appsv1.DefaultDeploymentUniqueLabelKey: "5d8"},
		OwnerReferences: []metav1.OwnerReference{{Kind: "Deployment", Name: "web", UID: "uid-web", Controller: new(true)}},
	}}
	want := set.DeepCopy()
	set.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kube-controller-manager"}}
	set.Annotations = map[string]string{"deployment.kubernetes.io/revision": "1"}
	set.Spec.Template.Spec.Containers = []corev1.Container{{Name: "web"}}
	set.Status.Replicas = 3
	if _, err := trim.ReplicaSet(set); err != nil {
		t.Fatal(err)
	}
	if !equality.Semantic.DeepEqual(set, want) {
		t.Errorf("got %+v, want %+v", set, want)
	}
}

func TestNodeDropsImages(t *testing.T) {
	node := &corev1.Node{Status: corev1.NodeStatus{Images: []corev1.ContainerImage{{SizeBytes: 1}},
		Addresses: []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "198.18.0.1"}}}}
	if _, err := trim.Node(node); err != nil {
		t.Fatal(err)
	}
	if len(node.Status.Images) != 0 || len(node.Status.Addresses) != 1 {
		t.Errorf("status %+v", node.Status)
	}
}
