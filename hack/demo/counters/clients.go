package counters

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Clients are the pods whose counters are read, through the API server's proxy.
type Clients struct {
	Clientset kubernetes.Interface
	Namespace string
	// Selector is the label selector of the pods.
	Selector string
	// MetricsPort on which the clients serve their metrics.
	MetricsPort int
}

// Read reads the counters of every client that is Ready now, by pod. A client that goes away while it is asked is an
// error; the next reading will be without it.
func (c Clients) Read(ctx context.Context) (map[string]Sample, error) {
	pods, err := c.Clientset.CoreV1().Pods(c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: c.Selector})
	if err != nil {
		return nil, fmt.Errorf("list the clients: %w", err)
	}
	samples := map[string]Sample{}
	for _, pod := range pods.Items {
		if !ready(&pod) {
			continue
		}
		metrics, err := c.metrics(ctx, pod.Name, c.MetricsPort)
		if err != nil {
			return nil, fmt.Errorf("read the metrics of the client %s: %w", pod.Name, err)
		}
		samples[pod.Name], err = Parse(pod.Name, time.Now(), bytes.NewReader(metrics))
		if err != nil {
			return nil, err
		}
	}
	return samples, nil
}

// ReadObserver reads from the observer inside a client's pod how many local ports it sees held, by destination.
func (c Clients) ReadObserver(ctx context.Context, pod string) (map[string]int, error) {
	metrics, err := c.metrics(ctx, pod, result.DefaultObserverPort)
	if err != nil {
		return nil, fmt.Errorf("read the metrics of the observer in %s: %w", pod, err)
	}
	return parseObserved(pod, bytes.NewReader(metrics))
}

func (c Clients) metrics(ctx context.Context, pod string, port int) ([]byte, error) {
	return c.Clientset.CoreV1().Pods(c.Namespace).ProxyGet("http", pod, strconv.Itoa(port), "metrics", nil).DoRaw(ctx)
}

func ready(pod *corev1.Pod) bool {
	if pod.DeletionTimestamp != nil {
		return false
	}
	for _, condition := range pod.Status.Conditions {
		if condition.Type == corev1.PodReady {
			return condition.Status == corev1.ConditionTrue
		}
	}
	return false
}
