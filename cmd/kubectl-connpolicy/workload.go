package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/discover"
	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Kinds of workloads.
const (
	kindDeployment  = "Deployment"
	kindStatefulSet = "StatefulSet"
	kindDaemonSet   = "DaemonSet"
)

// kindOf reads a kind as kubectl does: deploy, deployment, deployments, deployments.apps.
func kindOf(text string) (string, error) {
	short, group, _ := strings.Cut(strings.ToLower(text), ".")
	if group == "" || group == appsv1.GroupName {
		switch short {
		case "deploy", "deployment", "deployments":
			return kindDeployment, nil
		case "sts", "statefulset", "statefulsets":
			return kindStatefulSet, nil
		case "ds", "daemonset", "daemonsets":
			return kindDaemonSet, nil
		}
	}
	return "", fmt.Errorf("%q is no kind of workload that is observed: deploy, sts and ds are", text)
}

// workloadOf reads kind/name.
func workloadOf(text string) (v1alpha1.WorkloadReference, error) {
	short, name, named := strings.Cut(text, "/")
	if !named || name == "" {
		return v1alpha1.WorkloadReference{}, fmt.Errorf("%q names no workload: write kind/name, such as deploy/checkout", text)
	}
	kind, err := kindOf(short)
	return v1alpha1.WorkloadReference{Group: appsv1.GroupName, Kind: kind, Name: name}, err
}

// podsOf are the running pods of a workload.
func (p *plugin) podsOf(ctx context.Context, reader client.Client, namespace string, from v1alpha1.WorkloadReference) ([]corev1.Pod, error) {
	selector, err := selectorOf(ctx, reader, client.ObjectKey{Namespace: namespace, Name: from.Name}, from.Kind)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("namespace %s has no %s %s; -n names another", namespace, from.Kind, from.Name)
	}
	if err != nil {
		return nil, p.cluster.advise(err)
	}
	labels, err := metav1.LabelSelectorAsSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("read the selector of %s %s: %w", from.Kind, from.Name, err)
	}
	var list corev1.PodList
	if err := reader.List(ctx, &list, client.InNamespace(namespace), client.MatchingLabelsSelector{Selector: labels}); err != nil {
		return nil, p.cluster.advise(err)
	}
	var running []corev1.Pod
	for i := range list.Items {
		if list.Items[i].Status.Phase == corev1.PodRunning && list.Items[i].DeletionTimestamp == nil {
			running = append(running, list.Items[i])
		}
	}
	if len(running) == 0 {
		return nil, fmt.Errorf("%s %s has no running pod", from.Kind, from.Name)
	}
	return running, nil
}

func selectorOf(ctx context.Context, reader client.Client, key client.ObjectKey, kind string) (*metav1.LabelSelector, error) {
	switch kind {
	case kindDeployment:
		var workload appsv1.Deployment
		err := reader.Get(ctx, key, &workload)
		return workload.Spec.Selector, err
	case kindStatefulSet:
		var workload appsv1.StatefulSet
		err := reader.Get(ctx, key, &workload)
		return workload.Spec.Selector, err
	default:
		var workload appsv1.DaemonSet
		err := reader.Get(ctx, key, &workload)
		return workload.Spec.Selector, err
	}
}

// askTimeout bounds how long one observer may take.
const askTimeout = 10 * time.Second

// askObservers reads the observers that run in pods, through the API server. What went wrong with some is told in notes.
func (p *plugin) askObservers(ctx context.Context, pods []corev1.Pod, port int, in *discover.Input) (notes []string, err error) {
	config, err := p.cluster.config()
	if err != nil {
		return nil, err
	}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("reach the cluster: %w", err)
	}
	for i := range pods {
		if _, runs := observer.RunningSince(&pods[i]); !runs {
			if trouble := observer.Trouble(&pods[i]); trouble != "" {
				notes = append(notes, fmt.Sprintf("Pod %s: %s.", pods[i].Name, trouble))
			}
			continue
		}
		seen, err := ask(ctx, api, &pods[i], port)
		if apierrors.IsForbidden(err) {
			return nil, fmt.Errorf("%w\nObservers are asked through the API server, which takes the right to get pods/proxy. Ask for it, or save what an observer sees and read it with -f", err)
		}
		if err != nil {
			notes = append(notes, fmt.Sprintf("The observer in pod %s did not answer: %v.", pods[i].Name, err))
			continue
		}
		in.Seen = append(in.Seen, discover.Seen{Pod: pods[i].Name, Observation: seen})
	}
	return notes, nil
}

func ask(ctx context.Context, api kubernetes.Interface, pod *corev1.Pod, port int) (result.Observation, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	stream, err := api.CoreV1().Pods(pod.Namespace).ProxyGet("http", pod.Name, strconv.Itoa(port), "/metrics", nil).Stream(ctx)
	if err != nil {
		return result.Observation{}, err
	}
	defer stream.Close()
	seen, err := observer.Parse(stream)
	if err != nil {
		return result.Observation{}, err
	}
	seen.At = time.Now()
	return seen, nil
}

// noObserver says how to get one.
func noObserver(namespace, name string, pods []corev1.Pod, notes []string, image string) string {
	message := fmt.Sprintf("no observer tells what the pods of %s connect to.\n", name)
	for _, note := range notes {
		message += note + "\n"
	}
	return message + fmt.Sprintf(`
Either let the operator put observers into two of them: apply a policy with one link that you know of, and observe.pods of 2, which it
has by default. Ask again two minutes later.

Or look yourself for two minutes, without the operator:

  kubectl -n %[1]s debug %[2]s --image=%[3]s --container=look --profile=restricted -- /probe observe --seconds 120 -o json
  kubectl -n %[1]s logs %[2]s --container=look --follow > observation.json
  kubectl connpolicy discover -n %[1]s %[4]s -f observation.json`, namespace, pods[0].Name, image, name)
}

// nameAddresses reads what gives addresses names, with the user's own rights. What may not be read is told in notes.
func nameAddresses(ctx context.Context, reader client.Client, in *discover.Input) []string {
	var notes []string
	read := func(what string, list client.ObjectList, where ...client.ListOption) {
		if err := reader.List(ctx, list, where...); err != nil {
			notes = append(notes, fmt.Sprintf("%s could not be listed, so that addresses of theirs stay addresses: %s.", what, reason(err)))
		}
	}
	services, slices := &corev1.ServiceList{}, &discoveryv1.EndpointSliceList{}
	pods, nodes := &corev1.PodList{}, &corev1.NodeList{}
	read("Services of all namespaces", services)
	if len(services.Items) == 0 {
		read("Services", services, client.InNamespace(in.Namespace))
	}
	read("EndpointSlices of all namespaces", slices)
	if len(slices.Items) == 0 {
		read("EndpointSlices", slices, client.InNamespace(in.Namespace))
	}
	read("Pods of all namespaces", pods)
	read("Nodes", nodes)
	in.Services, in.Slices, in.Pods = services.Items, slices.Items, pods.Items
	for i := range nodes.Items {
		for _, address := range nodes.Items[i].Status.Addresses {
			in.NodeAddresses = append(in.NodeAddresses, address.Address)
		}
	}
	return notes
}

// reason is why the API server refuses, in a few words.
func reason(err error) string {
	var status apierrors.APIStatus
	if errors.As(err, &status) && apierrors.IsForbidden(err) {
		return "you may not"
	}
	return firstLine(err)
}
