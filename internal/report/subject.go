package report

import (
	"cmp"
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/tuner"
)

// Subject is a policy with all that was found out and done about it.
type Subject struct {
	Namespace, Name string
	// Policy is nil where the reports are all that is known.
	Policy *v1alpha1.ConnectionPolicy
	// Reports in the order of the policy's links.
	Reports []v1alpha1.ConnectionReport
	Tunings []v1alpha1.ConnectionTuning
}

// Objects are what subjects are made from.
type Objects struct {
	Policies []v1alpha1.ConnectionPolicy
	Reports  []v1alpha1.ConnectionReport
	Tunings  []v1alpha1.ConnectionTuning
}

// Subjects puts together what belongs to each policy, sorted by namespace and name. A tuning that belongs to no policy here
// goes with the reports of its workload, or stands alone under the workload's name.
func (o Objects) Subjects() []Subject {
	var subjects []*Subject
	find := func(namespace, name string) *Subject {
		if i := slices.IndexFunc(subjects, func(s *Subject) bool { return s.Namespace == namespace && s.Name == name }); i >= 0 {
			return subjects[i]
		}
		subjects = append(subjects, &Subject{Namespace: namespace, Name: name})
		return subjects[len(subjects)-1]
	}
	for i := range o.Policies {
		find(o.Policies[i].Namespace, o.Policies[i].Name).Policy = &o.Policies[i]
	}
	for i := range o.Reports {
		s := find(o.Reports[i].Namespace, o.Reports[i].Spec.PolicyName)
		s.Reports = append(s.Reports, o.Reports[i])
	}
	for i := range o.Tunings {
		claimed := false
		for _, s := range subjects {
			if s.tunes(&o.Tunings[i]) {
				s.Tunings, claimed = append(s.Tunings, o.Tunings[i]), true
			}
		}
		if !claimed {
			s := find(o.Tunings[i].Namespace, o.Tunings[i].Name)
			s.Tunings = append(s.Tunings, o.Tunings[i])
		}
	}
	sorted := make([]Subject, 0, len(subjects))
	for _, s := range subjects {
		slices.SortStableFunc(s.Reports, func(a, b v1alpha1.ConnectionReport) int {
			return cmp.Or(cmp.Compare(s.place(a), s.place(b)), cmp.Compare(a.Spec.LinkName, b.Spec.LinkName))
		})
		sorted = append(sorted, *s)
	}
	slices.SortFunc(sorted, func(a, b Subject) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name))
	})
	return sorted
}

// place of a report's link in the policy.
func (s *Subject) place(report v1alpha1.ConnectionReport) int {
	if s.Policy == nil {
		return 0
	}
	return slices.IndexFunc(s.Policy.Spec.To, func(l v1alpha1.Link) bool { return l.Name == report.Spec.LinkName })
}

// tunes says whether a tuning is of the workload that the subject is about.
func (s *Subject) tunes(tuning *v1alpha1.ConnectionTuning) bool {
	if tuning.Namespace != s.Namespace {
		return false
	}
	if s.Policy != nil {
		return s.Policy.Spec.From != nil && tuner.Name(*s.Policy.Spec.From) == tuning.Name
	}
	return slices.ContainsFunc(s.Reports, func(r v1alpha1.ConnectionReport) bool {
		return r.Status.Source != nil && tuner.Name(*r.Status.Source) == tuning.Name
	})
}
