package tuner

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/ports"
)

// lowestPort is the lowest port that a range may begin with: those below are for servers.
const lowestPort = 1024

// safeLimits returns the ports that the range may contain without harm: the kernel refuses a range that begins below
// ip_unprivileged_port_start, and with it the pod.
func safeLimits(w Workload, links []LinkDemand) PortRange {
	limits := PortRange{First: lowestPort, Last: ports.Highest}
	raise := func(sysctls map[string]string) {
		if start, err := strconv.Atoi(strings.TrimSpace(sysctls[sysctlUnprivilegedStart])); err == nil {
			limits.First = max(limits.First, start)
		}
	}
	raise(withDots(w.TemplateSysctls))
	for _, link := range links {
		for _, pod := range link.Pods {
			raise(pod.Sysctls)
		}
	}
	return limits
}

// bounded returns the part of limits that all policies allow. Its Count is below 2 if they contradict each other.
func bounded(limits PortRange, links []LinkDemand) PortRange {
	for _, link := range links {
		if b := link.Bounds; b != nil {
			if b.Min != nil {
				limits.First = max(limits.First, int(*b.Min))
			}
			if b.Max != nil {
				limits.Last = min(limits.Last, int(*b.Max))
			}
		}
	}
	return limits
}

// policiesNamed is how many policies a message names.
const policiesNamed = 5

// boundsInWords names the policies that bound the range, and how, for a message.
func boundsInWords(links []LinkDemand) string {
	var words []string
	for _, link := range links {
		if link.Bounds == nil || (link.Bounds.Min == nil && link.Bounds.Max == nil) {
			continue
		}
		first, last := int64(lowestPort), int64(ports.Highest)
		if link.Bounds.Min != nil {
			first = *link.Bounds.Min
		}
		if link.Bounds.Max != nil {
			last = *link.Bounds.Max
		}
		words = append(words, fmt.Sprintf("policy %s allows %d-%d", link.Policy, first, last))
	}
	slices.Sort(words)
	words = slices.Compact(words)
	if len(words) > policiesNamed {
		words = append(words[:policiesNamed], fmt.Sprintf("and %d more", len(words)-policiesNamed))
	}
	return strings.Join(words, ", ")
}
