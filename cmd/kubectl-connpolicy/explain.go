package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/report"
	"github.com/connpolicy/connpolicy/internal/userrules"
)

func (p *plugin) explain() *cobra.Command {
	return &cobra.Command{
		Use:   "explain [RULE]",
		Short: "Tell what a rule is about: why it matters, what helps, where that is written",
		Long:  "Tell what a rule is about: why it matters, what helps, where that is written. Without RULE: list all rules by category.",
		Example: `  kubectl connpolicy explain CP401
  kubectl connpolicy explain`,
		Args: usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: func(_ *cobra.Command, arguments []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(arguments) > 0 {
				return nil, cobra.ShellCompDirectiveNoFileComp
			}
			var ids []cobra.Completion
			for _, rule := range audit.Rules() {
				ids = append(ids, cobra.CompletionWithDesc(rule.ID, rule.Title))
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, arguments []string) error {
			text := report.RuleList(audit.Rules())
			if len(arguments) == 1 {
				var err error
				if text, err = explanation(arguments[0]); err != nil {
					return err
				}
				if width := p.columns(); width > 0 {
					text = report.Fold(text, width)
				}
			}
			_, err := io.WriteString(p.Out, text)
			return err
		},
	}
}

// explanation is the page about a rule.
func explanation(id string) (string, error) {
	if strings.HasPrefix(id, userrules.Prefix) {
		return "", fmt.Errorf("%s is a rule of the policy's own: its expression stands in spec.audit.rules of the policy", id)
	}
	var ids []string
	for _, rule := range audit.Rules() {
		if strings.EqualFold(rule.ID, id) {
			return report.RulePage(rule), nil
		}
		ids = append(ids, rule.ID)
	}
	return "", fmt.Errorf("no rule %s%s 'kubectl connpolicy explain' lists all", id, semicolon(orElse(nearest(id, ids))))
}
