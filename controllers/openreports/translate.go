package openreports

import (
	"cmp"
	"slices"

	reportsapi "github.com/openreports/reports-api/apis/openreports.io/v1alpha1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
)

const (
	// source names connpolicy among the engines that write Reports.
	source = "connpolicy"
	// namePrefix keeps the names apart from those of other engines.
	namePrefix = "connpolicy-"

	labelManagedBy = "app.kubernetes.io/managed-by"
)

// The results of OpenReports.
const (
	resultPass  reportsapi.Result = "pass"
	resultFail  reportsapi.Result = "fail"
	resultWarn  reportsapi.Result = "warn"
	resultError reportsapi.Result = "error"
	resultSkip  reportsapi.Result = "skip"
)

// The severities of OpenReports that are in use.
const (
	severityHigh   reportsapi.ResultSeverity = "high"
	severityMedium reportsapi.ResultSeverity = "medium"
	severityInfo   reportsapi.ResultSeverity = "info"
)

// Names of properties of a result. Evidence stands beside them under its own names, with a prefix.
const (
	propertyLink     = "link"
	propertyReport   = "report"
	propertyTitle    = "title"
	propertyCure     = "cure"
	evidenceProperty = "evidence."
)

// notJudged is said of a link without a verdict. It is an error, as all is that could not be evaluated: a link that is
// left out would look like one without findings.
const notJudged = "Nothing was judged on this link yet; the conditions of the ConnectionPolicy say why."

// translate says in the words of OpenReports what is known of a policy's links: one result for each verdict, in the
// order of the links. Reports that are not the policy's own, or not of its links, count for nothing.
func translate(policy *v1alpha1.ConnectionPolicy, reports []v1alpha1.ConnectionReport) *reportsapi.Report {
	report := &reportsapi.Report{
		TypeMeta: metav1.TypeMeta{APIVersion: reportsapi.SchemeGroupVersion.String(), Kind: "Report"},
		ObjectMeta: metav1.ObjectMeta{
			Namespace: policy.Namespace, Name: namePrefix + policy.Name,
			Labels:          map[string]string{labelManagedBy: source},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(policy, v1alpha1.GroupVersion.WithKind("ConnectionPolicy"))},
		},
		Source: source,
		Scope:  scopeOf(policy),
	}
	rules := rulesByID()
	for _, link := range policy.Spec.To {
		i := slices.IndexFunc(reports, func(r v1alpha1.ConnectionReport) bool {
			return r.Spec.LinkName == link.Name && metav1.IsControlledBy(&r, policy)
		})
		var judgements []v1alpha1.Verdict
		if i >= 0 {
			judgements = reports[i].Status.Judgements()
		}
		if len(judgements) == 0 {
			report.Results = append(report.Results, reportsapi.ReportResult{
				Source: source, Policy: policy.Name, Result: resultError, Description: notJudged,
				Timestamp:  timestamp(policy.CreationTimestamp),
				Properties: map[string]string{propertyLink: link.Name},
			})
			continue
		}
		for _, verdict := range judgements {
			report.Results = append(report.Results, resultOf(policy.Name, &reports[i], verdict, rules[verdict.Rule]))
		}
	}
	report.Summary = summaryOf(report.Results)
	return report
}

// scopeOf is what the results are about: the workload that opens the connections, or the policy itself where it names
// none.
func scopeOf(policy *v1alpha1.ConnectionPolicy) *corev1.ObjectReference {
	if from := policy.Spec.From; from != nil {
		return &corev1.ObjectReference{
			APIVersion: appsv1.SchemeGroupVersion.String(), Kind: from.Kind, Namespace: policy.Namespace, Name: from.Name,
		}
	}
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.GroupVersion.String(), Kind: "ConnectionPolicy", Namespace: policy.Namespace, Name: policy.Name,
	}
}

func rulesByID() map[string]audit.Rule {
	rules := map[string]audit.Rule{}
	for _, rule := range audit.Rules() {
		rules[rule.ID] = rule
	}
	return rules
}

// resultOf is a verdict as OpenReports holds it. rule is zero for one of the policy's own.
func resultOf(policy string, report *v1alpha1.ConnectionReport, verdict v1alpha1.Verdict, rule audit.Rule) reportsapi.ReportResult {
	result := reportsapi.ReportResult{
		Source: source, Policy: policy, Rule: verdict.Rule,
		Result: outcomeOf(verdict), Severity: severityOf(verdict.Severity),
		Category: string(rule.Category), Description: verdict.Message,
		Properties: map[string]string{propertyLink: report.Spec.LinkName, propertyReport: report.Name},
	}
	// What is scored is met or not; a warning is not scored, as the kind defines it.
	result.Scored = result.Result == resultPass || result.Result == resultFail
	if report.Status.ObservedTime != nil {
		result.Timestamp = timestamp(*report.Status.ObservedTime)
	}
	for name, value := range map[string]string{propertyTitle: cmp.Or(verdict.Title, rule.Title), propertyCure: verdict.Cure} {
		if value != "" {
			result.Properties[name] = value
		}
	}
	for name, value := range verdict.Evidence {
		result.Properties[evidenceProperty+name] = value
	}
	return result
}

// outcomeOf is a verdict in the words of OpenReports. What could not be measured is an error, which is "the policy could
// not be evaluated", and never left out; what does not apply or is disabled was not selected. A finding that only warns
// or informs is a requirement that is not met and not scored.
func outcomeOf(verdict v1alpha1.Verdict) reportsapi.Result {
	switch verdict.Result {
	case v1alpha1.VerdictPass:
		return resultPass
	case v1alpha1.VerdictNotApplicable, v1alpha1.VerdictDisabled:
		return resultSkip
	case v1alpha1.VerdictFail:
		if verdict.Severity == v1alpha1.SeverityError {
			return resultFail
		}
		return resultWarn
	default:
		return resultError
	}
}

// severityOf is a severity in the words of OpenReports; empty where there is none.
func severityOf(severity v1alpha1.Severity) reportsapi.ResultSeverity {
	return map[v1alpha1.Severity]reportsapi.ResultSeverity{
		v1alpha1.SeverityError: severityHigh, v1alpha1.SeverityWarning: severityMedium, v1alpha1.SeverityInfo: severityInfo,
	}[severity]
}

func timestamp(at metav1.Time) metav1.Timestamp { return metav1.Timestamp{Seconds: at.Unix()} }

func summaryOf(results []reportsapi.ReportResult) reportsapi.ReportSummary {
	var summary reportsapi.ReportSummary
	for _, result := range results {
		switch result.Result {
		case resultPass:
			summary.Pass++
		case resultFail:
			summary.Fail++
		case resultWarn:
			summary.Warn++
		case resultError:
			summary.Error++
		case resultSkip:
			summary.Skip++
		}
	}
	return summary
}
