package policy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
)

func TestNodesOfPods(t *testing.T) {
	ended := sourcePod("e", "n3", 1, "")
	ended.Status.Phase = corev1.PodFailed
	pods := []corev1.Pod{
		sourcePod("a", "n1", 1, ""), sourcePod("b", "n2", 1, "-"), sourcePod("c", "n2", 1, ""),
		sourcePod("d", "", 1, ""), sourcePod("x", "n4", 1, "x"), ended,
	}
	if got := strings.Join(nodesOf(pods), " "); got != "n2 n1" {
		t.Errorf("vantages %s", got)
	}
}

func serverNode(name string) corev1.Node {
	return corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{corev1.LabelOSStable: "linux"}},
		Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{
			{Type: corev1.NodeMemoryPressure, Status: corev1.ConditionFalse},
			{Type: corev1.NodeReady, Status: corev1.ConditionTrue},
		}},
	}
}

func TestTakesProbes(t *testing.T) {
	taint := func(effect corev1.TaintEffect) func(*corev1.Node) {
		return func(node *corev1.Node) { node.Spec.Taints = []corev1.Taint{{Key: "x", Effect: effect}} }
	}
	for name, test := range map[string]struct {
		change func(*corev1.Node)
		want   bool
	}{
		"ready":                {func(*corev1.Node) {}, true},
		"rather not":           {taint(corev1.TaintEffectPreferNoSchedule), true},
		"tainted":              {taint(corev1.TaintEffectNoSchedule), false},
		"being emptied":        {taint(corev1.TaintEffectNoExecute), false},
		"cordoned":             {func(node *corev1.Node) { node.Spec.Unschedulable = true }, false},
		"another system":       {func(node *corev1.Node) { node.Labels[corev1.LabelOSStable] = "windows" }, false},
		"an unknown system":    {func(node *corev1.Node) { node.Labels = nil }, false},
		"not ready":            {func(node *corev1.Node) { node.Status.Conditions[1].Status = corev1.ConditionUnknown }, false},
		"it has not said much": {func(node *corev1.Node) { node.Status.Conditions = nil }, false},
		"on its way out":       {func(node *corev1.Node) { node.DeletionTimestamp = &metav1.Time{Time: begin} }, false},
	} {
		node := serverNode("n1")
		test.change(&node)
		if got := takesProbes(&node); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestServerIsMeasuredFromOneNode(t *testing.T) {
	var nodes []corev1.Node
	for i := range 20 {
		nodes = append(nodes, serverNode(fmt.Sprintf("n%d", i)))
	}
	nodes[7].Spec.Unschedulable = true
	first := map[string]bool{}
	for i := range 200 {
		s := scopeOf("a")
		s.policy.UID = types.UID(fmt.Sprintf("uid-%d", i))
		s.keepNodes(nodes)
		got := s.vantageChoice()
		if got.enough != 1 || len(got.nodes) != 19 || slices.Contains(got.nodes, "n7") {
			t.Fatalf("vantages %+v", got)
		}
		first[got.nodes[0]] = true

		fewer := scopeOf("a")
		fewer.policy.UID = s.policy.UID
		fewer.keepNodes(slices.DeleteFunc(slices.Clone(nodes), func(node corev1.Node) bool { return node.Name == got.nodes[1] }))
		if again := fewer.vantageChoice(); again.nodes[0] != got.nodes[0] || again.nodes[1] != got.nodes[2] {
			t.Fatalf("another node went, and the order with it: %v, then %v", got.nodes, again.nodes)
		}
	}
	if len(first) != 19 {
		t.Errorf("200 policies stand on %d nodes of 19", len(first))
	}

	s := scopeOf("a")
	s.keepNodes(nodes[7:8])
	if got := s.vantageChoice(); !slices.Equal(got.nodes, []string{anywhere}) || got.enough != 1 {
		t.Errorf("without a node that takes probes: %+v", got)
	}
	s.policy.Spec.From = &v1alpha1.WorkloadReference{Kind: "Deployment", Name: "client"}
	s.source.pods = []corev1.Pod{sourcePod("a", "n7", 1, "")}
	s.keepNodes(nodes)
	if got := s.vantageChoice(); !slices.Equal(got.nodes, []string{"n7"}) || got.enough != vantagesPerRun {
		t.Errorf("of a workload: %+v", got)
	}
	s.source.pods = nil
	if got := s.vantageChoice(); len(got.nodes) != 0 {
		t.Errorf("of a workload without pods: %+v", got)
	}
}
