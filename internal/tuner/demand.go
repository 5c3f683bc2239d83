package tuner

import (
	"cmp"
	"slices"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/internal/ports"
)

const (
	// untunedPorts is the size of the kernel's default range, 32768-60999, which a new network namespace gets whatever
	// its node has (net/ipv4/af_inet.c, inet_init_net). It stands for what a tuned pod would have without its tuning.
	untunedPorts = 28232

	// askPercent is the share of the ports in use from which a link asks for more: connect() searches the ports of one
	// parity first, half of all, and slows down a hundredfold once they are taken (net/ipv4/inet_hashtables.c,
	// __inet_hash_connect).
	askPercent = 50
	// aimPercent is the share in use that is aimed at. It lies below askPercent, so that a proposal, once made, does not
	// come and go with small changes of the load.
	aimPercent = 45
	// censoredPercent is the share in use from which the ports themselves bound what is seen. The kernel counts no
	// attempt that found no port, so the true demand is unknown.
	censoredPercent = 90

	// timeWaitSeconds is how long a port is held after its connection is closed (include/net/tcp.h, TCP_TIMEWAIT_LEN).
	timeWaitSeconds = 60
)

// podDemand is what one pod needs for one link.
type podDemand struct {
	policy, link string
	pod          PodPorts
	// held is the highest number of ports that were seen held.
	held int
	// asks says that the pod would be at askPercent or above without any tuning.
	asks bool
	// censored says that held is bounded by the ports available, not by the load.
	censored bool
}

// untuned is the number of ports that the pod would have without tuning.
func (d podDemand) untuned() int {
	if d.pod.Tuned {
		return untunedPorts
	}
	return d.pod.Available
}

// coming is the number of ports that the present rate of connections leads to. Ports fill for a minute before as many
// are freed as are taken, so that what is held may be less than what will be.
func (d podDemand) coming() int {
	closesFirst := 2*d.pod.TimeWait >= d.pod.InUse
	if d.pod.ConnectionsPerSecond == nil || !closesFirst {
		return d.held
	}
	return max(d.held, *d.pod.ConnectionsPerSecond*timeWaitSeconds)
}

// needed is the number of ports with which the pod would hold aimPercent of them. Where the demand is censored it is the
// least that could be enough.
func (d podDemand) needed() int { return (100*d.coming() + aimPercent - 1) / aimPercent }

// demandsOf returns the demand of each observed pod for each link. Pods whose number of available ports is unknown are
// left out. A workload that has a proposal asks from aimPercent on.
func demandsOf(links []LinkDemand, hasProposal bool) []podDemand {
	threshold := askPercent
	if hasProposal {
		threshold = aimPercent
	}
	var all []podDemand
	for _, link := range links {
		for _, pod := range link.Pods {
			if pod.Available <= 0 {
				continue
			}
			d := podDemand{policy: link.Policy, link: link.Link, pod: pod, held: max(pod.InUse, pod.InUsePeak)}
			d.asks = 100*d.held >= threshold*d.untuned()
			d.censored = 100*d.held >= censoredPercent*pod.Available
			all = append(all, d)
		}
	}
	return all
}

// gravest returns the demand that decides: a censored one before others, then the one that holds most ports. Pods of the
// same figures are taken by name, so that the choice does not change with their order. It panics without demands.
func gravest(demands []podDemand) podDemand {
	return slices.MinFunc(demands, func(a, b podDemand) int {
		return cmp.Or(
			trueFirst(a.asks, b.asks),
			trueFirst(a.censored, b.censored),
			cmp.Compare(b.held, a.held),
			cmp.Compare(a.policy, b.policy),
			cmp.Compare(a.link, b.link),
			cmp.Compare(a.pod.Pod, b.pod.Pod),
		)
	})
}

// roomiest returns the demand of the pod that has most ports without tuning. It panics without demands.
func roomiest(demands []podDemand) podDemand {
	return slices.MaxFunc(demands, func(a, b podDemand) int {
		return cmp.Or(trueFirst(a.pod.Tuned, b.pod.Tuned), cmp.Compare(a.untuned(), b.untuned()), cmp.Compare(b.pod.Pod, a.pod.Pod))
	})
}

// mostUntuned is the number of ports that a plan must exceed to be of use to every pod.
func mostUntuned(demands []podDemand) int { return roomiest(demands).untuned() }

func trueFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// everyPort is the number of ports that is needed where the demand is not known: more than there are.
const everyPort = ports.Highest + 1

// demandsListed is how many demands a ConnectionTuning holds.
const demandsListed = 64

// asking names the links that ask for more ports than there are without tuning, sorted by policy and link.
func asking(demands []podDemand) []v1alpha1.Demand {
	byLink := map[[2]string][]podDemand{}
	for _, d := range demands {
		if d.asks {
			key := [2]string{d.policy, d.link}
			byLink[key] = append(byLink[key], d)
		}
	}
	list := make([]v1alpha1.Demand, 0, len(byLink))
	for key, ofLink := range byLink {
		worst := gravest(ofLink)
		value := figure.Count(worst.needed()) + " ports"
		if worst.censored {
			value = "as many ports as are safe"
		}
		list = append(list, v1alpha1.Demand{PolicyName: key[0], LinkName: key[1], Knob: v1alpha1.KnobEphemeralPorts, Value: value})
	}
	slices.SortFunc(list, func(a, b v1alpha1.Demand) int {
		return cmp.Or(cmp.Compare(a.PolicyName, b.PolicyName), cmp.Compare(a.LinkName, b.LinkName))
	})
	return list[:min(len(list), demandsListed)]
}
