package discover

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/columns"
	"github.com/connpolicy/connpolicy/internal/figure"
)

// Bounds of the API.
const (
	maximumLinks          = 16
	maximumLinkName       = 20
	maximumPolicyName     = 40
	unnamedPolicy         = "discovered"
	commentColumns        = 110
	observerPodsByDefault = 2
)

// Found is what is written about a workload.
type Found struct {
	Destinations []Destination
	// Links[i] is the name of the policy's link to Destinations[i]; empty if it has none.
	Links []string
	// Policy watches over them. Nil if there is nothing to watch.
	Policy *v1alpha1.ConnectionPolicy
}

// Find ranks the destinations and makes the policy.
func Find(in Input) Found {
	f := Found{Destinations: Destinations(in)}
	f.Links = make([]string, len(f.Destinations))
	var links []v1alpha1.Link
	for i, d := range f.Destinations {
		if d.Unfit != "" || len(links) == maximumLinks || f.covers(i) {
			continue
		}
		link := newLink(d, in.Namespace, links)
		links = append(links, link)
		f.Links[i] = link.Name
	}
	if len(links) == 0 {
		return f
	}
	name := unnamedPolicy
	if in.From != nil {
		name = nameOf(in.From.Name, maximumPolicyName)
	}
	f.Policy = &v1alpha1.ConnectionPolicy{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "ConnectionPolicy"},
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: in.Namespace},
		Spec:       v1alpha1.ConnectionPolicySpec{From: in.From, To: links},
	}
	return f
}

// covers says whether a destination before this one leads to the same port of the same Service.
func (f *Found) covers(i int) bool {
	d := f.Destinations[i]
	j := slices.IndexFunc(f.Destinations[:i], func(other Destination) bool {
		return d.Service != nil && other.Service == d.Service && other.Port == d.Port
	})
	if j < 0 {
		return false
	}
	f.Links[i] = f.Links[j]
	return true
}

func newLink(d Destination, namespace string, others []v1alpha1.Link) v1alpha1.Link {
	if d.Service == nil {
		return v1alpha1.Link{
			Name:     unused(nameOf(d.Host+"-"+strconv.Itoa(int(d.HostPort)), maximumLinkName), others),
			Endpoint: &v1alpha1.Endpoint{Host: d.Host, Port: d.HostPort}, Protocol: v1alpha1.ProtocolTCP,
		}
	}
	reference := &v1alpha1.ServiceReference{Name: d.Service.Name}
	if d.Service.Namespace != namespace {
		reference.Namespace = d.Service.Namespace
	}
	if len(d.Service.Spec.Ports) > 1 {
		reference.Port = d.Port.Name
		if reference.Port == "" {
			reference.Port = strconv.Itoa(int(d.Port.Port))
		}
	}
	s := spokenTo(d.Service, d.Port)
	return v1alpha1.Link{Name: unused(nameOf(d.Service.Name, maximumLinkName), others), Service: reference, Protocol: s.protocol, TLS: s.tls}
}

// nameOf makes a name of lower-case letters, digits and '-' out of a text, of at most so many characters.
func nameOf(text string, most int) string {
	name := regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(text), "-")
	return strings.Trim(name[:min(len(name), most)], "-")
}

// unused is a name that no link has.
func unused(name string, links []v1alpha1.Link) string {
	taken := func(candidate string) bool {
		return slices.ContainsFunc(links, func(l v1alpha1.Link) bool { return l.Name == candidate })
	}
	candidate := name
	for n := 2; taken(candidate); n++ {
		suffix := "-" + strconv.Itoa(n)
		candidate = strings.TrimRight(name[:min(len(name), maximumLinkName-len(suffix))], "-") + suffix
	}
	return candidate
}

// YAML is the policy, with what was found in comments before it, so that the whole may be read, kept and applied.
func (f Found) YAML(heading string, notes []string) (string, error) {
	var b strings.Builder
	for _, line := range columns.Wrap(heading, commentColumns) {
		b.WriteString("# " + line + "\n")
	}
	b.WriteString("#\n")
	for _, row := range f.rows() {
		b.WriteString("# " + row + "\n")
	}
	for _, note := range notes {
		b.WriteString("#\n")
		for _, line := range columns.Wrap(note, commentColumns) {
			b.WriteString("# " + line + "\n")
		}
	}
	if f.Policy == nil {
		return b.String(), nil
	}
	text, err := yaml.Marshal(map[string]any{
		"apiVersion": f.Policy.APIVersion, "kind": f.Policy.Kind,
		"metadata": map[string]string{"name": f.Policy.Name, "namespace": f.Policy.Namespace},
		"spec":     f.spec(),
	})
	if err != nil {
		return "", fmt.Errorf("write the policy: %w", err)
	}
	b.Write(text)
	return b.String(), nil
}

// spec leaves out what the API server sets by itself.
func (f Found) spec() map[string]any {
	spec := map[string]any{"to": f.Policy.Spec.To}
	if f.Policy.Spec.From != nil {
		spec["from"] = map[string]string{"kind": f.Policy.Spec.From.Kind, "name": f.Policy.Spec.From.Name}
		spec["observe"] = map[string]int{"pods": observerPodsByDefault}
	}
	return spec
}

// rows are a table of the destinations.
func (f Found) rows() []string {
	table := [][]string{{"", "DESTINATION", "NEW/S", "PORTS HELD", "TIME_WAIT", "OF", "PODS", "LINK"}}
	for i, d := range f.Destinations {
		rate, of := "unknown", "unknown"
		if d.OpensPerSecond != nil {
			rate = figure.Rate(*d.OpensPerSecond)
		}
		if d.Available > 0 {
			of = fmt.Sprintf("%s (%s)", figure.Count(d.Available), figure.PercentDown(d.Held, d.Available))
		}
		link := f.Links[i]
		switch {
		case d.Unfit != "":
			link = "none: " + d.Unfit
		case link == "":
			link = fmt.Sprintf("none: a policy has %d at the most", maximumLinks)
		}
		table = append(table, []string{strconv.Itoa(i + 1), d.String(), rate, figure.Count(d.Held), figure.Count(d.TimeWait), of, strconv.Itoa(d.Pods), link})
	}
	return columns.Align(table)
}

// String names the destination.
func (d Destination) String() string {
	switch {
	case d.Service != nil && d.Direct:
		return fmt.Sprintf("Service %s/%s:%d, at its endpoints", d.Service.Namespace, d.Service.Name, d.Port.Port)
	case d.Service != nil:
		return fmt.Sprintf("Service %s/%s:%d", d.Service.Namespace, d.Service.Name, d.Port.Port)
	case d.Pod != "":
		return fmt.Sprintf("%s, pod %s", d.Addresses[0], d.Pod)
	}
	return d.Addresses[0]
}

// Notes say what to mind.
func (f Found) Notes(in Input) []string {
	var notes []string
	for i, d := range f.Destinations {
		if d.Service != nil && f.Links[i] != "" && slices.Index(f.Links, f.Links[i]) == i {
			if note := spokenTo(d.Service, d.Port).note(f.Links[i], d.Service, d.Port); note != "" {
				notes = append(notes, note)
			}
		}
		switch {
		case f.Links[i] == "":
		case d.Direct:
			notes = append(notes, fmt.Sprintf("Link %s: connections go to the endpoints of %s/%s themselves (%s), past its virtual address. The rules judge the workload's connections to the endpoints, and count the ports of each; probes go to the virtual address.",
				f.Links[i], d.Service.Namespace, d.Service.Name, strings.Join(d.Addresses[:min(len(d.Addresses), 3)], ", ")))
		case d.Pod != "":
			notes = append(notes, fmt.Sprintf("Link %s: the address is that of a pod, which changes. Name a Service instead, if there is one.", f.Links[i]))
		case d.Service == nil:
			note := fmt.Sprintf("Link %s: %s is outside of what this cluster's Services name. Write the DNS name that the workload uses for it, and its protocol", f.Links[i], d.Host)
			if usuallyTLS(d.HostPort) {
				note += fmt.Sprintf(": on port %d most servers speak HTTPS, by a certificate for their name", d.HostPort)
			}
			notes = append(notes, note+".")
		}
	}
	for _, seen := range in.Seen {
		if o := seen.Observation.OtherDestinations; o != nil {
			notes = append(notes, fmt.Sprintf("In pod %s the observer names the destinations that hold most ports alone; those that it does not name hold %s together.", seen.Pod, figure.Plural(o.PortsInUse, "port", "ports")))
		}
		if u := seen.Observation.UptimeSeconds; u < timeWaitSeconds {
			notes = append(notes, fmt.Sprintf("In pod %s the observer has looked for %.0f s. Ports fill up for a minute, so ask again later.", seen.Pod, u))
		}
	}
	return notes
}
