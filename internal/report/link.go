package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/clip"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/userrules"
	"github.com/connpolicy/connpolicy/probes/result"
)

// newLink says what is told about the link of a report. policy may be nil.
func newLink(report *v1alpha1.ConnectionReport, policy *v1alpha1.ConnectionPolicy, rules []audit.Rule, now time.Time) Link {
	l := Link{Name: report.Spec.LinkName, Title: "Link " + report.Spec.LinkName}
	l.Intro, l.Troubles = linkIntro(report, now)
	if target := report.Status.Target; target != nil {
		l.Title += " to " + target.Name
	}
	byID := map[string]audit.Rule{}
	for _, r := range slices.Concat(rules, ownRules(policy)) {
		byID[r.ID] = r
	}
	judgements := report.Status.Judgements()
	for _, severity := range severities() {
		for _, v := range judgements {
			if v.Result == v1alpha1.VerdictFail && v.Severity == severity {
				l.Findings = append(l.Findings, finding(v, byID[v.Rule]))
			}
		}
	}
	for _, v := range judgements {
		switch v.Result {
		case v1alpha1.VerdictUnknown:
			l.Unknown = addRemark(l.Unknown, v, "Not known: ", byID[v.Rule])
		case v1alpha1.VerdictPass:
			l.Passed = addRemark(l.Passed, v, passes(v.Rule), byID[v.Rule])
		case v1alpha1.VerdictNotApplicable:
			l.NotApplicable = append(l.NotApplicable, v.Rule)
		case v1alpha1.VerdictDisabled:
			l.Disabled = append(l.Disabled, v.Rule)
		}
	}
	views, troubles := viewsOf(report)
	l.Troubles = append(l.Troubles, troubles...)
	if who := whoDiffers(views); who != "" {
		l.Intro = append(l.Intro, who)
	}
	if message := messageOf(policy, l.Name); message != "" {
		l.Troubles = append(l.Troubles, sentence(message))
	}
	l.Sections = slices.Concat(differenceSection(views), portsSection(report, views), drainsSection(report), silenceSection(report, views), measurementSections(report, views),
		figuresSection(report, policy), settingsSection(report))
	return l
}

// unseen are the links of a policy that there is no report of.
func unseen(s Subject) []Link {
	if s.Policy == nil {
		return nil
	}
	var links []Link
	for _, link := range s.Policy.Spec.To {
		if slices.ContainsFunc(s.Reports, func(r v1alpha1.ConnectionReport) bool { return r.Spec.LinkName == link.Name }) {
			continue
		}
		l := Link{Name: link.Name, Title: "Link " + link.Name, Intro: []string{"Nothing was seen yet."}}
		if message := messageOf(s.Policy, link.Name); message != "" {
			l.Troubles = append(l.Troubles, sentence(message))
		}
		links = append(links, l)
	}
	return links
}

// messageOf is what the policy says stands in a link's way.
func messageOf(policy *v1alpha1.ConnectionPolicy, link string) string {
	if policy == nil {
		return ""
	}
	i := slices.IndexFunc(policy.Status.Links, func(l v1alpha1.LinkStatus) bool { return l.Name == link })
	if i < 0 {
		return ""
	}
	return policy.Status.Links[i].Message
}

// sentence begins a message with a capital and ends it with a full stop.
func sentence(message string) string {
	return capital(strings.TrimRight(message, ". ")) + "."
}

// linkIntro says who looked, from where and when, and who could not.
func linkIntro(report *v1alpha1.ConnectionReport, now time.Time) (sentences, troubles []string) {
	status := report.Status
	if status.ObservedTime != nil {
		sentences = append(sentences, "Seen "+moment(status.ObservedTime.Time, now)+".")
	}
	var measured []string
	for _, v := range status.Vantages {
		if v.Outcome == string(result.Measured) {
			measured = append(measured, node(v.Node))
			continue
		}
		troubles = append(troubles, fmt.Sprintf("The probe on %s brought no result (%s): %s.", node(v.Node), v.Outcome, strings.TrimRight(v.Cause, ".")))
	}
	if len(measured) > 0 {
		sentences = append(sentences, fmt.Sprintf("Probed from %s.", strings.Join(measured, " and ")))
	}
	var looked []string
	for _, o := range status.Observers {
		if o.Outcome == string(result.Measured) {
			looked = append(looked, o.Pod)
			continue
		}
		troubles = append(troubles, fmt.Sprintf("The observer in pod %s saw nothing (%s): %s.", o.Pod, o.Outcome, strings.TrimRight(o.Cause, ".")))
	}
	if len(looked) > 0 {
		sentences = append(sentences, fmt.Sprintf("Observed in pod %s.", strings.Join(looked, " and ")))
	}
	if target := status.Target; target != nil {
		if target.URL != "" {
			sentences = append(sentences, "The probe asked for "+target.URL+".")
		}
		if len(target.Addresses) > 0 {
			sentences = append(sentences, fmt.Sprintf("The workload reaches it at %s.", strings.Join(target.Addresses, ", ")))
		}
		if target.ReadyEndpoints != nil {
			sentences = append(sentences, fmt.Sprintf("%s.", figure.Plural(int(*target.ReadyEndpoints), "endpoint is ready", "endpoints are ready")))
		}
	}
	return sentences, troubles
}

// node names a node, also where the report does not.
func node(name string) string {
	if name == "" {
		return "an unknown node"
	}
	return name
}

// addRemark tells what a rule says, or, where the report had no room for its words, whether what its title says is the case.
// Rules that say the same are told together.
func addRemark(remarks []Remark, v v1alpha1.Verdict, instead string, rule audit.Rule) []Remark {
	message := v.Message
	if title := cmp.Or(rule.Title, v.Title); message == "" && title != "" {
		message = instead + title
	}
	return add(remarks, v.Rule, message)
}

// add puts those that say the same together, in the order in which each was first said.
func add(remarks []Remark, by, message string) []Remark {
	if i := slices.IndexFunc(remarks, func(r Remark) bool { return message != "" && r.Message == message }); i >= 0 {
		remarks[i].By = append(remarks[i].By, by)
		return remarks
	}
	return append(remarks, Remark{[]string{by}, message})
}

// passes says of a rule's title that the rule is met: a rule is named for what it finds, one of the policy's own for what it
// demands.
func passes(rule string) string {
	if strings.HasPrefix(rule, userrules.Prefix) {
		return "Met: "
	}
	return "Not the case: "
}

// ownRules are those of the policy's own, by what they demand.
func ownRules(policy *v1alpha1.ConnectionPolicy) []audit.Rule {
	if policy == nil || policy.Spec.Audit == nil {
		return nil
	}
	var rules []audit.Rule
	for _, r := range policy.Spec.Audit.Rules {
		rules = append(rules, audit.Rule{ID: userrules.Prefix + r.Name, Title: r.Expression, Why: "The policy demands " + r.Expression + "."})
	}
	return rules
}

// finding tells of a verdict that fails. rule is zero for one that this version does not know.
func finding(v v1alpha1.Verdict, rule audit.Rule) Finding {
	f := Finding{Rule: v.Rule, Title: cmp.Or(v.Title, rule.Title), Message: v.Message, Severity: v.Severity, Why: rule.Why, Evidence: evidence(v.Evidence)}
	if f.Message == "" {
		f.Message = "The report had no room for what was seen."
	}
	if v.Cure != "" {
		f.Cures = append(f.Cures, v.Cure)
	}
	for _, cure := range rule.Cures {
		if v.Cure != "" && clip.Same(cure, v.Cure) {
			f.Cures[0] = cure // the report's may be cut
			continue
		}
		f.Cures = append(f.Cures, cure)
	}
	return f
}
