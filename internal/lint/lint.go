// Package lint says what is wrong with policies before anything is applied: what the API server would refuse, in its own
// words, and what the operator would not understand.
package lint

import (
	"context"
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/manifest"
	"github.com/connpolicy/connpolicy/internal/userrules"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Linter checks objects without a cluster.
type Linter struct {
	kinds map[string]*kind
	rules *userrules.Environment
}

// New returns a linter that knows the kinds of this version.
func New() (*Linter, error) {
	known, err := kinds()
	if err != nil {
		return nil, err
	}
	environment, err := userrules.NewEnvironment()
	if err != nil {
		return nil, err
	}
	return &Linter{known, environment}, nil
}

// Knows says whether a document is of one of connpolicy's kinds, in any version.
func Knows(d manifest.Document) bool {
	return d.Object.GroupVersionKind().Group == v1alpha1.GroupVersion.Group
}

// Check returns what is wrong with a document, one message each; none if nothing is.
func (l *Linter) Check(ctx context.Context, d manifest.Document) []string {
	gvk := d.Object.GroupVersionKind()
	k := l.kinds[gvk.Kind]
	if k == nil || gvk.GroupVersion() != v1alpha1.GroupVersion {
		return []string{fmt.Sprintf("no kind %q in %s", gvk.Kind, gvk.GroupVersion())}
	}
	object := d.Object.DeepCopy()
	unknown, err := k.unknown(object)
	if err != nil {
		return []string{err.Error()}
	}
	var messages []string
	for _, path := range unknown {
		messages = append(messages, fmt.Sprintf("unknown field %q", path))
	}
	for _, e := range k.check(ctx, object) {
		messages = append(messages, e.Error())
	}
	if len(messages) > 0 || gvk.Kind != "ConnectionPolicy" {
		return messages
	}
	var policy v1alpha1.ConnectionPolicy
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &policy); err != nil {
		return []string{err.Error()}
	}
	return l.policy(&policy)
}

// policy checks what the schema cannot.
func (l *Linter) policy(policy *v1alpha1.ConnectionPolicy) []string {
	if policy.Spec.Audit == nil {
		return nil
	}
	var messages []string
	for i, written := range policy.Spec.Audit.Rules {
		compiled, err := l.rules.Compile(userrules.Of(written))
		if err != nil {
			messages = append(messages, fmt.Sprintf("spec.audit.rules[%d].expression: %v", i, err))
			continue
		}
		for _, doubt := range append(compiled.Doubts(), neverRead(policy, compiled.Reads())...) {
			messages = append(messages, fmt.Sprintf("spec.audit.rules[%d].expression: audit rule %s: %s", i, written.Name, doubt))
		}
	}
	known := map[string]bool{}
	for _, rule := range audit.Rules() {
		known[rule.ID] = true
	}
	for i, id := range policy.Spec.Audit.Disable {
		if !known[id] {
			messages = append(messages, fmt.Sprintf("spec.audit.disable[%d]: no rule %s; kubectl connpolicy explain lists them", i, id))
		}
	}
	for i, given := range policy.Spec.Audit.Severities {
		if !known[given.Rule] {
			messages = append(messages, fmt.Sprintf("spec.audit.severities[%d].rule: no rule %s; kubectl connpolicy explain lists them", i, given.Rule))
		}
	}
	return messages
}

// neverRead says of what an expression reads what the policy never has measured, so that the rule never applies.
func neverRead(policy *v1alpha1.ConnectionPolicy, reads []string) []string {
	var messages []string
	asked, pods := policy.Spec.Probe.Measurements, policy.Spec.Observe.Pods
	if slices.Contains(reads, "backlog") {
		messages = append(messages, "it reads backlog, which is measured only where a probe is run by hand")
	}
	for _, f := range result.Fields() {
		if f.Name != "backlog" && len(asked) > 0 && slices.Contains(reads, f.Name) && !slices.Contains(asked, v1alpha1.MeasurementName(f.Name)) {
			messages = append(messages, fmt.Sprintf("it reads %s, which spec.probe.measurements does not name", f.Name))
		}
	}
	switch {
	case !slices.Contains(reads, "observer"):
	case policy.Spec.From == nil:
		messages = append(messages, "it reads observer, which looks into the pods of spec.from, and there is none")
	case pods != nil && *pods == 0:
		messages = append(messages, "it reads observer, and spec.observe.pods is 0")
	}
	return messages
}
