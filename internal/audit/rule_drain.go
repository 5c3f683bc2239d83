package audit

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Drain is what connections of observed pods came to while endpoints of a link's Service left.
type Drain struct {
	Began, Ended time.Time
	// Endpoints is how many left, StillListed how many of them the Service still listed at the end.
	Endpoints, StillListed int
	// Pods is how many pods the counts are of.
	Pods int
	// During are the connections of the pods in this time: to the endpoints that left where Before is nil, else to all that
	// are behind the link's address.
	During ConnectionCounts
	// Before are those to the same address from before.
	Before *ConnectionCounts
}

// ConnectionCounts are connections over some time.
type ConnectionCounts struct {
	// Opened counts those that began, Failed those of them that were never established, Closed those that ended; Open were
	// open at the end of the time.
	Opened, Failed, Closed, Open int64
	// Ends tells how those of Closed ended that the kernel told the end of. Nil: it told of none.
	Ends *result.Ends
}

// told is how many ends the kernel told.
func (c ConnectionCounts) told() int64 {
	if c.Ends == nil {
		return 0
	}
	return c.Ends.Told()
}

// tells says whether the kernel told how most of those ended that did, so that what it told stands for all.
func (c ConnectionCounts) tells() bool { return 2*c.told() >= c.Closed }

// torn is how many of them ended in the midst of something. An end without an answer is such where each request has one and
// nobody says farewell in data.
func (c ConnectionCounts) torn(answered bool) int64 {
	switch {
	case c.Ends == nil:
		return 0
	case answered:
		return c.Ends.Reset + c.Ends.Silent + c.Ends.Unanswered
	}
	return c.Ends.Reset + c.Ends.Silent
}

// lived is how many connections could have been torn: those of which the end is known, and those that saw the end of the time.
func (c ConnectionCounts) lived() int64 { return c.told() + c.Open }

func tornConnections() Rule {
	return Rule{
		ID: "CP813", Title: "Connections are torn when endpoints leave",
		Category: CategoryHealth, Severity: Warning, Needs: []string{needObserver},
		AppliesNot: "Policies without `from`, targets that are no Service, and links of which no endpoint left while observers looked, or none that an observed pod had connections to.",
		Why: "When a pod is told to stop, nodes learn of it at the same moment as the server: some go on to send it new connections for a second or more, which a server that has stopped refuses. " +
			"A server that does not finish its requests tears the connections that it has, and one that dies without a word leaves its clients waiting.",
		Cures: []string{
			"Let the pod serve on until every node has learned that it leaves: `lifecycle: {preStop: {sleep: {seconds: 10}}}`, with a terminationGracePeriodSeconds above that and the longest request. Judge by the roll-out after the one that brings it: that one still ends the old pods.",
			"Let the server drain on SIGTERM: accept no more, finish requests, say `Connection: close` or GOAWAY (Go: Server.Shutdown; gRPC: GracefulStop; Node.js: server.close and closeIdleConnections; nginx: STOPSIGNAL SIGQUIT), in less than terminationGracePeriodSeconds. The signal must reach it: no shell as process 1 (exec form). Judge by the roll-out after the one that brings it.",
			"Let the client notice a peer that is gone: a timeout on every request, TCP keepalive well below two minutes, TCP_USER_TIMEOUT (gRPC: keepalive pings), and a pool that discards what failed. At the server look for pods that are killed before they close: terminationGracePeriodSeconds, memory limits, lost nodes.",
		},
		Source: "kubernetes.io, Pod Lifecycle (termination of pods) and Container Lifecycle Hooks; RFC 9113 section 6.8 (GOAWAY); RFC 9112 section 9.6 (tear-down); kubernetes/kubernetes#86280",
		judge:  judgeTornConnections,
	}
}

// Cures of tornConnections.
const (
	cureRefused = iota
	cureTorn
	cureSilent
)

func judgeTornConnections(in Input) judgement {
	switch {
	case in.ServerOnly, in.Unobserved && len(in.Observations) == 0:
		j, _ := notObserved(in)
		return j
	case len(in.Drains) == 0:
		return notApplicable("No endpoint of a Service was seen to leave while observers looked.")
	}
	d, answered := in.Drains[0], in.Protocol == protocolHTTP
	shown := d.seen(answered)
	if !answered {
		shown += " Whether a request on them was lost shows over HTTP alone."
	}
	switch worse := d.tears(answered); {
	case worse != nil:
		return *worse
	case d.During.Closed+d.During.Opened == 0:
		return notApplicable(d.when() + " no connection of an observed pod began or ended.")
	case !d.During.tells():
		return unknown(fmt.Sprintf("%s %s ended; the kernel told how %s of them did.", d.when(), connectionsOf(d.During.Closed, d.Pods), figure.Count(int(d.During.told()))))
	case d.During.told() == 0:
		return notApplicable(d.seen(answered))
	case d.During.torn(answered)+d.During.Failed > 0:
		return pass(shown+" That is no more than is usual.", d.evidence(answered))
	}
	return pass(shown, d.evidence(answered))
}

// tears is the finding that a drain is. Nil: it is none.
func (d Drain) tears(answered bool) *judgement {
	torn, failed := d.During.torn(answered), d.During.Failed
	if d.Before == nil {
		switch held := d.During.Open; {
		case torn+failed > 0:
			return new(fail(Warning, d.seen(answered), d.evidence(answered), d.cure(answered)))
		case held > 0 && d.StillListed == 0:
			return new(fail(Info, fmt.Sprintf("%s Still open to them when they were gone: %s.", d.seen(answered), figure.Count(int(held))), d.evidence(answered), cureSilent))
		}
		return nil
	}
	before := *d.Before
	const looked = 2 // shares: of connections that are torn, of connects that fail
	switch {
	case before.tells() && moreThanBefore(looked, torn, d.During.lived(), before.torn(answered), before.lived()),
		moreThanBefore(looked, failed, d.During.Opened, before.Failed, before.Opened):
		return new(fail(Warning, d.seen(answered), d.evidence(answered), d.cure(answered)))
	case torn > 0 && (!before.tells() || before.torn(answered) == 0), failed > 0 && before.Failed == 0:
		return new(fail(Info, d.seen(answered)+" That may be chance.", d.evidence(answered), d.cure(answered)))
	}
	return nil
}

// cure is that of what most connections suffered.
func (d Drain) cure(answered bool) int {
	silent := int64(0)
	if d.During.Ends != nil {
		silent = d.During.Ends.Silent
	}
	cut := d.During.torn(answered) - silent
	switch {
	case d.During.Failed >= max(cut, silent):
		return cureRefused
	case cut >= silent:
		return cureTorn
	}
	return cureSilent
}

// when says when which endpoints left.
func (d Drain) when() string {
	until := "15:04:05"
	if d.Began.UTC().Truncate(24*time.Hour) != d.Ended.UTC().Truncate(24*time.Hour) {
		until = time.DateTime
	}
	return fmt.Sprintf("While %s left (%s to %s UTC),", plural(int64(d.Endpoints), "endpoint"), d.Began.UTC().Format(time.DateTime), d.Ended.UTC().Format(until))
}

// seen says what connections came to, beside those of before.
func (d Drain) seen(answered bool) string {
	seen := fmt.Sprintf("%s %s ended", d.when(), connectionsOf(d.During.Closed, d.Pods))
	if d.Before == nil {
		seen = fmt.Sprintf("%s %s to them ended", d.when(), connectionsOf(d.During.Closed, d.Pods))
	}
	if how := d.During.inWords(answered); how != "" {
		seen += ": " + how
	}
	seen += fmt.Sprintf("; %s of %s failed.", figure.Count(int(d.During.Failed)), plural(d.During.Opened, "connect"))
	switch {
	case d.Before == nil:
		return seen
	case d.Before.lived()+d.Before.Closed+d.Before.Opened == 0:
		return seen + " Nothing was counted before, to compare with."
	}
	torn := "it is not known how connections ended"
	if d.Before.tells() {
		torn = fmt.Sprintf("%s of %s were torn", figure.Count(int(d.Before.torn(answered))), plural(d.Before.lived(), "connection"))
	}
	return fmt.Sprintf("%s Before, %s and %s of %s failed.", seen, torn, figure.Count(int(d.Before.Failed)), plural(d.Before.Opened, "connect"))
}

// inWords says how connections ended; empty if the kernel told of none.
func (c ConnectionCounts) inWords(answered bool) string {
	if c.told() == 0 {
		return ""
	}
	var words []string
	say := func(count int64, how string) {
		if count > 0 {
			words = append(words, figure.Count(int(count))+" "+how)
		}
	}
	var unanswered int64
	if answered {
		unanswered = c.Ends.Unanswered
	}
	say(c.Ends.Orderly-unanswered, "in order")
	say(unanswered, "with a request that got no answer")
	say(c.Ends.Reset, "reset by the peer")
	say(c.Ends.ResetHere, "reset by the pods themselves")
	say(c.Ends.Silent, "because nobody answered any more")
	if untold := c.Closed - c.told(); untold > 0 {
		say(untold, "in a way that is not known")
	}
	return strings.Join(words, ", ")
}

// connectionsOf writes how many connections of how many pods: "40 connections of 2 observed pods".
func connectionsOf(connections int64, pods int) string {
	return plural(connections, "connection") + " of " + plural(int64(pods), "observed pod")
}

func (d Drain) evidence(answered bool) map[string]string {
	evidence := map[string]string{"endpoints": strconv.Itoa(d.Endpoints), "pods": strconv.Itoa(d.Pods)}
	put := func(name string, count int64) { evidence[name] = strconv.FormatInt(count, 10) }
	put("opened", d.During.Opened)
	put("failed", d.During.Failed)
	put("closed", d.During.Closed)
	put("open", d.During.Open)
	if ends := d.During.Ends; ends != nil {
		put("orderly", ends.Orderly)
		put("unanswered", ends.Unanswered)
		put("reset", ends.Reset)
		put("resetHere", ends.ResetHere)
		put("silent", ends.Silent)
	}
	if d.Before != nil {
		put("openedBefore", d.Before.Opened)
		put("failedBefore", d.Before.Failed)
		if d.Before.tells() {
			put("livedBefore", d.Before.lived())
			put("tornBefore", d.Before.torn(answered))
		}
	}
	return evidence
}
