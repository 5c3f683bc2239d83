package metrics

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

// readTimeout bounds the reads of a scrape. They are from memory, but wait while the cache is being filled.
const readTimeout = 5 * time.Second

// Collector tells how everything stands that the reader knows.
type Collector struct {
	// Reader is the manager's cache.
	Reader client.Reader
	// Elected is closed once this manager is the one that works. One that waits tells nothing, so that what stands is not
	// told twice.
	Elected <-chan struct{}
}

// Describe describes all metrics that are read from the cache.
func (c *Collector) Describe(send chan<- *prometheus.Desc) {
	for _, metric := range Metrics() {
		if metric.Kind == Gauge {
			send <- metric.desc()
		}
	}
}

// Collect reads how things stand now. Where that fails so does the scrape: a part would look like the whole.
func (c *Collector) Collect(send chan<- prometheus.Metric) {
	select {
	case <-c.Elected:
	default:
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), readTimeout)
	defer cancel()
	if err := c.collect(ctx, send); err != nil {
		send <- prometheus.NewInvalidMetric(policies().desc(), err)
	}
}

// collect reads objects without copying them, and changes none.
func (c *Collector) collect(ctx context.Context, send chan<- prometheus.Metric) error {
	var policies v1alpha1.ConnectionPolicyList
	if err := c.Reader.List(ctx, &policies, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the policies: %w", err)
	}
	collectPolicies(policies.Items, send)
	living := map[types.UID]bool{}
	for i := range policies.Items {
		living[policies.Items[i].UID] = true
	}
	var reports v1alpha1.ConnectionReportList
	if err := c.Reader.List(ctx, &reports, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the reports: %w", err)
	}
	for i := range reports.Items {
		// Nobody looks any more at a report that a policy left behind.
		if owner := metav1.GetControllerOfNoCopy(&reports.Items[i]); owner != nil && living[owner.UID] {
			collectReport(&reports.Items[i], send)
		}
	}
	var tunings v1alpha1.ConnectionTuningList
	if err := c.Reader.List(ctx, &tunings, client.UnsafeDisableDeepCopy); err != nil {
		return fmt.Errorf("list the tunings: %w", err)
	}
	for i := range tunings.Items {
		collectTuning(&tunings.Items[i], send)
	}
	return nil
}
