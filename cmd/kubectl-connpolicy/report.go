package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
	"github.com/connpolicy/connpolicy/internal/report"
)

func (p *plugin) report() *cobra.Command {
	var form string
	var files []string
	var everywhere bool
	c := &cobra.Command{
		Use:   "report [POLICY]",
		Short: "Tell what was seen on the links of a policy, and how it was judged",
		Long: `Tell what was seen on the links of a policy, or of all policies of the namespace, and how it was judged.

With -f the reports are read from files, as 'kubectl get connpol,connreport,conntune -o yaml' or 'report -o yaml' write them,
and no cluster is needed.`,
		Example: `  kubectl connpolicy report checkout-to-payments
  kubectl connpolicy report checkout-to-payments -o html > report.html
  kubectl connpolicy report -o yaml > saved.yaml
  kubectl connpolicy report -f saved.yaml`,
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: p.completePolicy,
		RunE: func(c *cobra.Command, arguments []string) error {
			name := ""
			if len(arguments) == 1 {
				name = arguments[0]
			}
			if name != "" && everywhere {
				return &usageError{c.CommandPath(), fmt.Errorf("POLICY and --all-namespaces exclude each other")}
			}
			objects, err := p.reported(c.Context(), files, name, everywhere)
			if err != nil {
				return err
			}
			return p.writeReport(form, objects, name)
		},
	}
	formFlag(c, &form, "text", "html", "json", "yaml")
	filesFlag(c, &files, "file with ConnectionReports, ConnectionPolicies and ConnectionTunings to read in place of a cluster")
	everywhereFlag(c, &everywhere)
	return c
}

// reported are the objects to tell of.
func (p *plugin) reported(ctx context.Context, files []string, name string, everywhere bool) (report.Objects, error) {
	if len(files) == 0 {
		namespace, err := p.cluster.namespace(everywhere)
		if err != nil {
			return report.Objects{}, err
		}
		return p.cluster.objects(ctx, namespace, name)
	}
	var objects report.Objects
	documents, err := p.whole(files)
	if err != nil {
		return objects, err
	}
	taken, err := objects.Add(documents)
	if err != nil {
		return objects, err
	}
	if taken == 0 {
		return objects, fmt.Errorf("no ConnectionReport, ConnectionPolicy or ConnectionTuning in %v: save them with 'kubectl connpolicy report -o yaml'", files)
	}
	return objects, nil
}

// writeReport writes what belongs to the policy of a name, or to all.
func (p *plugin) writeReport(form string, objects report.Objects, name string) error {
	subjects := objects.Subjects()
	if name != "" {
		var names []string
		for _, s := range subjects {
			names = append(names, s.Name)
		}
		subjects = slices.DeleteFunc(subjects, func(s report.Subject) bool { return s.Name != name })
		if len(subjects) == 0 {
			return fmt.Errorf("nothing is told of a policy %s%s there is something of %s", name, semicolon(orElse(nearest(name, names))), strings.Join(names, ", "))
		}
	}
	if len(subjects) == 0 {
		fmt.Fprintln(p.ErrOut, "There is no ConnectionPolicy here. 'kubectl connpolicy discover' writes one.")
		return nil
	}
	if form == "json" || form == "yaml" {
		return writeObject(p.Out, form, listOf(subjects))
	}
	var pages []report.Page
	for _, s := range subjects {
		pages = append(pages, report.NewPage(s, audit.Rules(), p.now()))
	}
	if form == "html" {
		return report.WriteHTML(p.Out, pages, p.now())
	}
	return report.WriteText(p.Out, pages, p.columns())
}

// list is what kubectl writes several objects as.
type list struct {
	metav1.TypeMeta `json:",inline"`
	Items           []any `json:"items"`
}

// listOf are all objects of subjects, each once.
func listOf(subjects []report.Subject) list {
	l := list{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "List"}}
	var tunings []string
	for _, s := range subjects {
		if s.Policy != nil {
			l.Items = append(l.Items, typed(s.Policy, &s.Policy.TypeMeta, &s.Policy.ObjectMeta, "ConnectionPolicy"))
		}
		for i := range s.Reports {
			r := &s.Reports[i]
			l.Items = append(l.Items, typed(r, &r.TypeMeta, &r.ObjectMeta, "ConnectionReport"))
		}
		for i := range s.Tunings {
			t := &s.Tunings[i]
			if key := t.Namespace + "/" + t.Name; !slices.Contains(tunings, key) {
				tunings = append(tunings, key)
				l.Items = append(l.Items, typed(t, &t.TypeMeta, &t.ObjectMeta, "ConnectionTuning"))
			}
		}
	}
	return l
}

// typed names the kind of an object, which clients leave out, and drops what only the API server reads.
func typed(object any, kind *metav1.TypeMeta, meta *metav1.ObjectMeta, name string) any {
	*kind = metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: name}
	meta.ManagedFields = nil
	return object
}

// writeObject writes JSON or YAML.
func writeObject(w io.Writer, form string, object any) error {
	if form == "json" {
		encoder := json.NewEncoder(w)
		encoder.SetIndent("", "  ")
		return encoder.Encode(object)
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		return fmt.Errorf("write YAML: %w", err)
	}
	_, err = w.Write(text)
	return err
}
