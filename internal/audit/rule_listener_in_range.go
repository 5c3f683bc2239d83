package audit

import (
	"fmt"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/ports"
)

// The settings that say which local ports connect() chooses from (Documentation/networking/ip-sysctl.rst).
const (
	sysctlPortRange     = "net.ipv4.ip_local_port_range"
	sysctlReservedPorts = "net.ipv4.ip_local_reserved_ports"
)

func listenerInRange() Rule {
	return Rule{
		ID: "CP403", Title: "A listening port may be taken by an outgoing connection",
		Category: CategoryPorts, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`.",
		Why: "connect() may choose the port of a listener that is just not there, and while such a connection lives or waits in TIME_WAIT the listener cannot bind, SO_REUSEADDR or not. " +
			"The network namespace of a pod outlives its containers, so one that restarts may find its port taken.",
		Cures: []string{
			"Name the ports in net.ipv4.ip_local_reserved_ports in the pod's securityContext.sysctls (the knob ephemeralPorts does that with every range that it sets), or listen below the range.",
		},
		Source: "Documentation/networking/ip-sysctl.rst, ip_local_reserved_ports; measured on Linux 6.18",
		judge:  judgeListenerInRange,
	}
}

func judgeListenerInRange(in Input) judgement {
	if j, none := notObserved(in); none {
		return j
	}
	judgements := make([]judgement, 0, len(in.Observations))
	for _, o := range in.Observations {
		judgements = append(judgements, judgeListeners(o))
	}
	return gravest(judgements)
}

func judgeListeners(o PodObservation) judgement {
	rangeText := o.Observation.Sysctls[sysctlPortRange]
	chosenFrom, err := ports.ParseRange(rangeText)
	if err != nil {
		return unknown(fmt.Sprintf("%s of pod %s could not be read.", sysctlPortRange, o.Pod))
	}
	reservedText, read := o.Observation.Sysctls[sysctlReservedPorts] // empty where nothing is reserved
	reserved, err := ports.ParseSet(reservedText)
	if err != nil || !read {
		return unknown(fmt.Sprintf("%s of pod %s could not be read.", sysctlReservedPorts, o.Pod))
	}
	if len(o.Observation.ListeningPorts) == 0 { // the observer itself listens
		return unknown(fmt.Sprintf("The listening ports of pod %s could not be read.", o.Pod))
	}
	var atRisk []ports.Range
	for _, port := range o.Observation.ListeningPorts {
		if chosenFrom.Contains(port) && !reserved.Contains(port) {
			atRisk = append(atRisk, ports.Range{First: port, Last: port})
		}
	}
	evidence := map[string]string{"pod": o.Pod, "range": strings.Join(strings.Fields(rangeText), "-"), "reserved": reserved.String()}
	if len(atRisk) == 0 {
		return pass(fmt.Sprintf("Pod %s listens on %s, none of which connect() may choose.",
			o.Pod, plural(int64(len(o.Observation.ListeningPorts)), "port")), evidence)
	}
	taken := ports.NewSet(atRisk...).String()
	evidence["listening"] = taken
	seen := fmt.Sprintf("Pod %s listens on %s, which connect() may choose for an outgoing connection (%s) and which is not reserved",
		o.Pod, taken, chosenFrom)
	chance, known := takenShare(o)
	if !known {
		return fail(Warning, seen+".", evidence, 0)
	}
	evidence["portsTakenPercent"] = fmt.Sprintf("%.2f", 100*chance)
	seen += fmt.Sprintf(". As many ports as are held now take a given one in %s of the cases", figure.Percent(100*chance))
	if chance <= objectiveShare {
		return fail(Info, seen+".", evidence, 0)
	}
	return fail(Warning, seen+".", evidence, 0)
}

// takenShare is how likely it is that a port of the range is held by an outgoing connection, to anywhere: the share of the
// ports that are.
func takenShare(o PodObservation) (share float64, known bool) {
	if o.Observation.Destinations == nil || o.Observation.PortsAvailable == nil || *o.Observation.PortsAvailable <= 0 {
		return 0, false
	}
	held := 0
	for _, d := range o.Observation.Destinations {
		held += max(d.PortsInUsePeak, d.PortsInUse)
	}
	if others := o.Observation.OtherDestinations; others != nil {
		held += max(others.PortsInUsePeak, others.PortsInUse)
	}
	return min(float64(held)/float64(*o.Observation.PortsAvailable), 1), true
}
