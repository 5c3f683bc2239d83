package audit

import "github.com/connpolicy/connpolicy/internal/clip"

// Rule is a named judgement. Its texts are for people; its id never changes its meaning.
type Rule struct {
	// ID is stable: CP and three digits. The first digit is the category.
	ID    string
	Title string
	// Category groups rules.
	Category Category
	// Severity is the gravest that a finding of this rule has.
	Severity Severity
	// Needs names what must have been measured: measurements of the probe, or observer.
	Needs []string
	// Helps names what makes the judgement more exact if it was measured too.
	Helps []string
	// AppliesNot says when the rule has nothing to say about a link.
	AppliesNot string
	// Why says in a sentence or two what goes wrong, and by which mechanism.
	Why string
	// Cures says what helps, the best first.
	Cures []string
	// Source is where the mechanism is documented or was measured.
	Source string

	judge func(Input) judgement
}

// Category groups rules.
type Category string

// The categories, in the order of the first digit of their rules' ids.
const (
	// CategorySetup (1): what it costs to set a connection up.
	CategorySetup Category = "Set-up"
	// CategoryReuse (2): whether connections carry more than one request, and how they are closed.
	CategoryReuse Category = "Reuse"
	// CategorySmallPackets (3): what is sent in pieces that wait, or that cost more than they carry.
	CategorySmallPackets Category = "Small packets"
	// CategoryPorts (4): local ports and TIME_WAIT.
	CategoryPorts Category = "Ports"
	// CategoryLongLived (5): connections that live for long, silent or not.
	CategoryLongLived Category = "Long-lived"
	// CategoryThroughput (6): how much a connection, or several of them, can carry.
	CategoryThroughput Category = "Throughput"
	// CategorySettings (7): whether what the operator sets is in force.
	CategorySettings Category = "Settings"
	// CategoryHealth (8): signs that connections suffer.
	CategoryHealth Category = "Health"
)

// judgement is what a rule's function says.
type judgement struct {
	result   Result
	severity Severity
	message  string
	evidence map[string]string
	// cure is the index in Rule.Cures of the one that helps most here.
	cure int
}

func (r Rule) verdict(in Input) Verdict {
	j := r.judge(in)
	v := Verdict{Rule: r.ID, Title: r.Title, Result: j.result, Message: clip.To(j.message, textBytes), Evidence: j.evidence}
	if j.result == Fail {
		v.Severity, v.Cure = j.severity, clip.To(r.Cures[j.cure], textBytes)
	}
	return v
}

// textBytes is how long a message or a cure may be in a ConnectionReport.
const textBytes = 512
