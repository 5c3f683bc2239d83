package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
)

// resolve finds the source workload with its pods, and what each link leads to. What is absent is no error: the watches
// tell when it comes.
func (r *Reconciler) resolve(ctx context.Context, s *scope) error {
	if err := r.resolveSource(ctx, s); err != nil {
		return err
	}
	for _, l := range s.links {
		if err := r.resolveLink(ctx, s, l); err != nil {
			return err
		}
	}
	return r.resolveNodes(ctx, s)
}

func (r *Reconciler) resolveSource(ctx context.Context, s *scope) error {
	from := s.policy.Spec.From
	if from == nil {
		return nil
	}
	name := from.Kind + " " + from.Name
	selector, template, err := r.workload(ctx, s.policy.Namespace, *from)
	if apierrors.IsNotFound(err) {
		s.source.trouble = trouble{v1alpha1.ReasonWorkloadNotFound, name + " does not exist in this namespace"}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read %s: %w", name, err)
	}
	if template.Spec.HostNetwork {
		s.source.trouble = trouble{v1alpha1.ReasonHostNetwork,
			name + " uses the node's network (hostNetwork): its connections cannot be told from the node's, and it is neither observed nor tuned"}
		return nil
	}
	s.source.nodeSelector, s.source.tolerations = template.Spec.NodeSelector, template.Spec.Tolerations
	s.source.names = probepod.Names{Policy: template.Spec.DNSPolicy, Config: template.Spec.DNSConfig, Aliases: template.Spec.HostAliases}

	labels, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return fmt.Errorf("read the selector of %s: %w", name, err)
	}
	var pods corev1.PodList
	if err := r.Client.List(ctx, &pods, client.InNamespace(s.policy.Namespace), client.MatchingLabelsSelector{Selector: labels}); err != nil {
		return fmt.Errorf("list the pods of %s: %w", name, err)
	}
	s.source.pods = slices.DeleteFunc(pods.Items, func(pod corev1.Pod) bool { return workloadOf(&pod) != *from || ended(&pod) })
	if len(nodesOf(s.source.pods)) == 0 {
		s.source.trouble = trouble{v1alpha1.ReasonNoPods, name + " has no pod on a node, so there is no place to measure from"}
	}
	return nil
}

// workload reads the selector and the pod template of a workload.
func (r *Reconciler) workload(ctx context.Context, namespace string, ref v1alpha1.WorkloadReference) (*metav1.LabelSelector, *corev1.PodTemplateSpec, error) {
	key := client.ObjectKey{Namespace: namespace, Name: ref.Name}
	switch ref.Kind {
	case kindDeployment:
		var workload appsv1.Deployment
		err := r.Client.Get(ctx, key, &workload)
		return workload.Spec.Selector, &workload.Spec.Template, err
	case kindStatefulSet:
		var workload appsv1.StatefulSet
		err := r.Client.Get(ctx, key, &workload)
		return workload.Spec.Selector, &workload.Spec.Template, err
	default:
		var workload appsv1.DaemonSet
		err := r.Client.Get(ctx, key, &workload)
		return workload.Spec.Selector, &workload.Spec.Template, err
	}
}

// Kinds of workloads.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
)

// workloadOf names the workload that controls a pod. The controller of a Deployment's pod is a ReplicaSet, which is
// named after the Deployment and the hash that the pod bears too. The zero value: none that we know.
func workloadOf(pod *corev1.Pod) v1alpha1.WorkloadReference {
	owner := metav1.GetControllerOf(pod)
	if owner == nil || !strings.HasPrefix(owner.APIVersion, appsv1.GroupName+"/") {
		return v1alpha1.WorkloadReference{}
	}
	ref := v1alpha1.WorkloadReference{Group: appsv1.GroupName, Kind: owner.Kind, Name: owner.Name}
	switch owner.Kind {
	case "ReplicaSet":
		hash := pod.Labels[appsv1.DefaultDeploymentUniqueLabelKey]
		deployment, found := strings.CutSuffix(owner.Name, "-"+hash)
		if hash == "" || !found {
			return v1alpha1.WorkloadReference{}
		}
		ref.Kind, ref.Name = kindDeployment, deployment
		return ref
	case kindStatefulSet, kindDaemonSet:
		return ref
	default:
		return v1alpha1.WorkloadReference{}
	}
}

func (r *Reconciler) resolveLink(ctx context.Context, s *scope, l *link) error {
	if l.trouble.any() {
		return nil
	}
	namespace := "" // the hosts of Services are full names
	if l.spec.Service == nil {
		l.target, namespace = endpointTarget(l.spec), s.policy.Namespace
	} else if err := r.resolveService(ctx, s, l); err != nil || l.trouble.any() {
		return err
	}
	var err error
	l.target.key, err = r.resolveKey(ctx, namespace, l.target.host, l.target.port)
	return err
}

func (r *Reconciler) resolveService(ctx context.Context, s *scope, l *link) error {
	key := client.ObjectKey{Namespace: serviceNamespace(s.policy, l.spec), Name: l.spec.Service.Name}
	var service corev1.Service
	err := r.Client.Get(ctx, key, &service)
	if apierrors.IsNotFound(err) {
		l.trouble = trouble{v1alpha1.ReasonServiceNotFound, fmt.Sprintf("Service %s does not exist", key)}
		return nil
	}
	if err != nil {
		return fmt.Errorf("read Service %s: %w", key, err)
	}
	var slicesOfService discoveryv1.EndpointSliceList
	if err := r.Client.List(ctx, &slicesOfService, client.InNamespace(key.Namespace),
		client.MatchingLabels{discoveryv1.LabelServiceName: key.Name}); err != nil {
		return fmt.Errorf("list the endpoints of Service %s: %w", key, err)
	}
	l.target, l.trouble = serviceTarget(l.spec, &service, slicesOfService.Items)
	return nil
}

func serviceNamespace(policy *v1alpha1.ConnectionPolicy, link v1alpha1.Link) string {
	if link.Service.Namespace != "" {
		return link.Service.Namespace
	}
	return policy.Namespace
}

// resolveNodes reads the nodes.
func (r *Reconciler) resolveNodes(ctx context.Context, s *scope) error {
	var nodes corev1.NodeList
	if err := r.Client.List(ctx, &nodes); err != nil {
		return fmt.Errorf("list the nodes: %w", err)
	}
	s.keepNodes(nodes.Items)
	return nil
}

// keepNodes keeps what matters of the nodes: their addresses, which probes refuse as targets, and where probes may stand
// that belong to no workload.
func (s *scope) keepNodes(nodes []corev1.Node) {
	for _, node := range nodes {
		for _, address := range node.Status.Addresses {
			if address.Type == corev1.NodeInternalIP || address.Type == corev1.NodeExternalIP {
				s.nodeAddresses = append(s.nodeAddresses, address.Address)
			}
		}
	}
	if s.policy.Spec.From == nil {
		s.probeNodes = nodesForProbes(s.policy.UID, nodes)
	}
}
