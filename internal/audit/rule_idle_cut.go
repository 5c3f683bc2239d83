package audit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

// Settings of TCP keepalive (Documentation/networking/ip-sysctl.rst). Sockets with options of their own do not follow them.
const (
	sysctlKeepaliveTime     = "net.ipv4.tcp_keepalive_time"
	sysctlKeepaliveInterval = "net.ipv4.tcp_keepalive_intvl"
	sysctlKeepaliveProbes   = "net.ipv4.tcp_keepalive_probes"
)

// likeHop names what is known for cutting connections after a silence between two bounds. It proves nothing: others
// have the same figures. Empty: nothing that is widely known.
func likeHop(atLeast *float64, atMost float64) string {
	if atLeast == nil {
		return ""
	}
	known := []struct {
		seconds float64
		name    string
	}{
		{60, "an AWS ALB, ingress-nginx or nginx's proxy_read_timeout (60 s)"},
		{240, "an Azure load balancer (240 s)"},
		{300, "Envoy's stream_idle_timeout (300 s)"},
		{350, "an AWS NLB or NAT gateway (350 s)"},
		{600, "Google Cloud's firewall or load balancer (600 s)"},
		{900, "IPVS, as kube-proxy uses it (900 s)"},
		{3600, "Envoy's idle timeouts (1 hour)"},
	}
	var names []string
	for _, k := range known {
		if *atLeast <= k.seconds && k.seconds <= atMost {
			names = append(names, k.name)
		}
	}
	if len(names) == 0 || len(names) > 2 { // bounds that fit everything say nothing
		return ""
	}
	return " This is consistent with " + strings.Join(names, " or ") + "."
}

// between writes the bounds of a cut-off in seconds.
func between(atLeast *float64, atMost float64) string {
	if atLeast == nil {
		return fmt.Sprintf("at most %s", seconds(atMost))
	}
	if seconds(*atLeast) == seconds(atMost) {
		return "about " + seconds(atMost)
	}
	return fmt.Sprintf("between %s and %s", strings.TrimSuffix(seconds(*atLeast), " s"), seconds(atMost))
}

// seconds writes a time of seconds to hours in seconds: 0.5 s, 350 s, 7,200 s.
func seconds(s float64) string { return figure.Rate(s) + " s" }

// howCut says how idle connections came to their end.
func howCut(how result.IdleCut) string {
	switch how {
	case result.CutFIN:
		return "closed (FIN)"
	case result.CutRST:
		return "reset (RST)"
	case result.CutBlackHole:
		return "forgotten without a word, so that nothing sent on them is answered"
	}
	return "cut in several ways"
}

func cutEvidence(i *result.Idle) map[string]string {
	evidence := map[string]string{"lookedSeconds": fmt.Sprintf("%.1f", i.LookedSeconds)}
	if i.How != "" {
		evidence["how"] = string(i.How)
	}
	for name, value := range map[string]*float64{"cutAfterSecondsAtLeast": i.AfterSecondsAtLeast, "cutAfterSecondsAtMost": i.AfterSecondsAtMost} {
		if value != nil {
			evidence[name] = fmt.Sprintf("%.1f", *value)
		}
	}
	if i.SurvivedOf != nil {
		evidence["survived"] = fmt.Sprintf("%d of %d", i.SurvivedOf.Got, i.SurvivedOf.Of)
	}
	if i.KeepaliveHelps != nil {
		evidence["keepaliveHelps"] = strconv.FormatBool(*i.KeepaliveHelps)
	}
	return evidence
}

// longestUsualCut is the longest time after which something on a path is known to forget silent connections without a
// word: IPVS, as kube-proxy sets it. What was watched for as long is not likely to be cut later.
const longestUsualCut = 900

// cutBounds returns the bounds of the cut-off. Without an upper one, none is known.
func cutBounds(i *result.Idle) (atLeast *float64, atMost float64, known bool) {
	if i.Cut == nil || !*i.Cut || i.AfterSecondsAtMost == nil {
		return nil, 0, false
	}
	return i.AfterSecondsAtLeast, *i.AfterSecondsAtMost, true
}

// Cures of a path that forgets silent connections.
const (
	cureArm = iota
	_       // to close them first, or to have the hop wait for longer, is the second
	cureSooner
)

func idleCut() Rule {
	return Rule{
		ID: "CP501", Title: "The path forgets idle connections before keepalive speaks",
		Category: CategoryLongLived, Severity: Error, Needs: []string{needIdle}, Helps: []string{needObserver},
		AppliesNot: "Policies that do not ask for the measurement idle, and paths on which keepalive was tried and keeps no connection (see CP502).",
		Why: "Load balancers, address translation and firewalls forget a connection that was silent for long, often without telling either end. " +
			"The next request then fails, or waits for an answer that never comes: a quarter of an hour by Linux's default. TCP keepalive prevents it only where it is armed and speaks sooner than the path forgets.",
		Cures: []string{
			"Arm TCP keepalive below the cut-off: SO_KEEPALIVE in the client (Go: net.Dialer.KeepAliveConfig; JDBC for PostgreSQL: tcpKeepAlive=true; libpq: keepalives_idle; gRPC: keepalive_time; Envoy, Istio: tcpKeepalive.time), with net.ipv4.tcp_keepalive_time in the pod's securityContext.sysctls at half of the cut-off or less.",
			"Close idle connections sooner than the path does: the client's pool (Go: IdleConnTimeout; HikariCP: maxLifetime and keepaliveTime; Envoy: idle_timeout). Or raise the time of the hop: IPVS: ipvsadm --set, kube-proxy ipvs.tcpTimeout; NLB: tcp.idle_timeout.seconds; Azure: idleTimeoutInMinutes and enableTcpReset.",
			"Lower net.ipv4.tcp_keepalive_time in the pod's securityContext.sysctls to half of the cut-off or less: the connections are armed and follow it, unless the client sets a time of its own (TCP_KEEPIDLE), which has to be lowered then.",
		},
		Source: "RFC 9293 section 3.8.4 (keepalive); RFC 5382 section 5 (NAT timers); kubernetes/kubernetes#80298 and kube-router#521 (IPVS, 900 s); docs.aws.amazon.com, NLB idle timeout (350 s)",
		judge:  judgeIdleCut,
	}
}

func judgeIdleCut(in Input) judgement {
	return perFigures(in, idleSource(), func(p ProbeResult, i *result.Idle) judgement {
		atLeast, atMost, cut := cutBounds(i)
		switch {
		case i.Cut == nil:
			return unknown("No connection could be watched through a silence.")
		case !*i.Cut:
			return judgeSurvived(in, i)
		case !cut:
			return unknown("Idle connections are cut, but after how long was not found out.")
		case i.How == result.CutFIN && !speaksHTTP1(in.Protocol):
			return judgeBeyondClose(in, i, atLeast, atMost)
		case i.How == result.CutFIN:
			return pass(fmt.Sprintf("Connections silent for %s are closed with a FIN, which the client sees before it uses them again.", between(atLeast, atMost)), cutEvidence(i))
		case i.KeepaliveHelps != nil && !*i.KeepaliveHelps:
			return notApplicable(fmt.Sprintf("Connections silent for %s are %s, whether keepalive speaks or not; CP502 judges that.", between(atLeast, atMost), howCut(i.How)))
		}
		return judgeForgotten(in, p, i, atLeast, atMost)
	})
}

// judgeBeyondClose judges a path on which the other end closes connections that never speak, as the probe's do except over
// HTTP/1. What the path does with longer silences shows in the workload's connections alone, which have spoken.
func judgeBeyondClose(in Input, i *result.Idle, atLeast *float64, atMost float64) judgement {
	evidence := cutEvidence(i)
	seen := fmt.Sprintf("Connections on which nothing was said for %s are closed with a FIN, so that no longer silence could be tried", between(atLeast, atMost))
	silent := longestSilence(in)
	switch {
	case silent == nil && (in.ServerOnly || in.Unobserved || holdsNone(in)):
		return notApplicable(seen + ", and no connection of a workload is seen that could be silent for longer.")
	case silent == nil:
		return unknown(seen + ". For how long the workload's connections are silent is not known.")
	}
	evidence["silentSecondsP99"] = fmt.Sprintf("%.0f", *silent)
	if *silent < atMost {
		return pass(fmt.Sprintf("%s. The workload's connections are silent for at most %s.", seen, figure.Lasting(*silent)), evidence)
	}
	if looked, unharmed := unharmedFor(in); unharmed && looked >= 2**silent {
		return pass(fmt.Sprintf("%s. The workload's connections are silent for up to %s, and none of its pods' connections was reset or given up in %s.",
			seen, figure.Lasting(*silent), figure.Lasting(looked)), evidence)
	}
	return unknown(fmt.Sprintf("%s. The workload's connections are silent for up to %s; they would show it by resets and by connections that are given up, of which its pods have some, or were not looked at for long enough.",
		seen, figure.Lasting(*silent)))
}

// unharmedFor says whether no connection of the observed pods, to and from anywhere, was reset or given up for want of an
// answer, and for how many seconds the one was looked at that was looked at for the shortest time: since the observers began, or
// of late.
func unharmedFor(in Input) (lookedSeconds float64, unharmed bool) {
	totals := make([]PodObservation, 0, len(in.Observations))
	for _, o := range in.Observations {
		totals = append(totals, sinceItBegan(o))
	}
	if looked, unharmed := unharmedPods(totals); unharmed {
		return looked, true
	}
	return unharmedPods(in.Observations)
}

func unharmedPods(observations []PodObservation) (lookedSeconds float64, unharmed bool) {
	for i, o := range observations {
		for _, name := range []string{"Tcp.EstabResets", "TcpExt.TCPAbortOnTimeout"} {
			if harmed, known := counter(o, name); !known || harmed.value > 0 {
				return 0, false
			}
		}
		if counted := countedSeconds(o); i == 0 || counted < lookedSeconds {
			lookedSeconds = counted
		}
	}
	return lookedSeconds, len(observations) > 0
}

// judgeSurvived judges a path on which nothing was cut: that tells as much as was tried.
func judgeSurvived(in Input, i *result.Idle) judgement {
	evidence := cutEvidence(i)
	survived := fmt.Sprintf("No connection was cut in %s of silence, the longest that was tried", seconds(i.LookedSeconds))
	silent := longestSilence(in)
	switch {
	case silent != nil && *silent > i.LookedSeconds:
		return unknown(fmt.Sprintf("%s, and the workload's connections are silent for up to %s. Raise probe.limits.idleSeconds.", survived, seconds(*silent)))
	case silent != nil:
		evidence["silentSecondsP99"] = fmt.Sprintf("%.0f", *silent)
		return pass(fmt.Sprintf("%s, and the workload's connections are silent for at most %s.", survived, seconds(*silent)), evidence)
	case holdsNone(in):
		return notApplicable(survived + ", and no observed pod holds one open that could be silent.")
	case i.LookedSeconds < longestUsualCut:
		return unknown(fmt.Sprintf("%s. For how long the workload's connections are silent is not known, and paths are known that cut after up to %d s. Raise probe.limits.idleSeconds to more than that, or let an observer look.",
			survived, longestUsualCut))
	}
	return pass(survived+".", evidence)
}

// judgeForgotten judges a path that resets or forgets idle connections, by what the workload's own do against it.
func judgeForgotten(in Input, p ProbeResult, i *result.Idle, atLeast *float64, atMost float64) judgement {
	evidence := cutEvidence(i)
	seen := fmt.Sprintf("Connections silent for %s are %s.%s", between(atLeast, atMost), howCut(i.How), likeHop(atLeast, atMost))
	armed, notArmed := 0, 0
	for _, c := range linkConnections(in) {
		armed += c.Keepalive.Armed
		notArmed += c.Keepalive.NotArmed
	}
	speaks, known := speaksAfter(in, p)
	if known {
		evidence["keepaliveTimeSeconds"] = strconv.Itoa(speaks)
	}
	evidence["armed"], evidence["notArmed"] = strconv.Itoa(armed), strconv.Itoa(notArmed)
	inTime := known && atLeast != nil && float64(speaks) <= *atLeast
	silent := longestSilence(in)
	if silent != nil {
		evidence["silentSecondsP99"] = fmt.Sprintf("%.0f", *silent)
	}
	busy := silent != nil && atLeast != nil && *silent < *atLeast
	switch {
	case notArmed > 0 && silent != nil && *silent >= atMost:
		return fail(forgottenIs(i.How), fmt.Sprintf("%s %s of the workload have no keepalive, and some are silent for %s already.",
			seen, plural(int64(notArmed), "connection"), figure.Lasting(*silent)), evidence, cureArm)
	case notArmed > 0 && busy:
		return fail(Info, fmt.Sprintf("%s %s of the workload have no keepalive. They were silent for %s at the most when they were seen, which is not too long unless load goes down.",
			seen, plural(int64(notArmed), "connection"), figure.Lasting(*silent)), evidence, cureArm)
	case notArmed > 0:
		return fail(Warning, fmt.Sprintf("%s %s of the workload have no keepalive.", seen, plural(int64(notArmed), "connection")), evidence, cureArm)
	case armed > 0 && inTime:
		return pass(fmt.Sprintf("%s Keepalive is armed on the workload's %s and speaks after %d s, sooner.", seen, plural(int64(armed), "connection"), speaks), evidence)
	case armed > 0 && busy && neverSpoke(in):
		return fail(Info, fmt.Sprintf("%s Keepalive is armed on the workload's %s, by the kernel's setting for the first time after %s s of silence. They were silent for %s at the most when they were seen, which is not too long unless load goes down.",
			seen, plural(int64(armed), "connection"), figure.Count(speaks), figure.Lasting(*silent)), evidence, cureSooner)
	case armed > 0 && busy:
		return pass(fmt.Sprintf("%s Keepalive is armed on the workload's %s, which were silent for %s at the most when they were seen.",
			seen, plural(int64(armed), "connection"), figure.Lasting(*silent)), evidence)
	case armed > 0 && neverSpoke(in):
		return fail(Warning, fmt.Sprintf("%s Keepalive is armed on the workload's %s, but no keepalive packet was ever sent; by the kernel's setting the first goes out after %s s of silence.",
			seen, plural(int64(armed), "connection"), figure.Count(speaks)), evidence, cureSooner)
	case armed > 0 && outlived(in, silent, atMost):
		return pass(fmt.Sprintf("%s Keepalive is armed on the workload's %s, which live on after up to %s without data: none of its pods' connections was reset or given up for want of an answer.",
			seen, plural(int64(armed), "connection"), figure.Lasting(*silent)), evidence)
	case armed > 0:
		return unknown(fmt.Sprintf("%s Keepalive is armed on the workload's connections; whether it speaks sooner cannot be seen, for a client may set a time of its own.", seen))
	case !known:
		return unknown(fmt.Sprintf("%s When keepalive would speak could not be read.", seen))
	case inTime:
		return pass(fmt.Sprintf("%s Keepalive, where it is armed, speaks after %d s, sooner.", seen, speaks), evidence)
	}
	return fail(Warning, fmt.Sprintf("%s Where keepalive is armed at all, it speaks after %s s by the kernel's setting.", seen, figure.Count(speaks)), evidence, cureArm)
}

// forgottenIs how grave it is that connections are silent for longer than the path remembers them: a reset ends the next
// request at once, where nothing answers it hangs.
func forgottenIs(how result.IdleCut) Severity {
	if how == result.CutBlackHole {
		return Error
	}
	return Warning
}

// outlived says whether connections have been without data for longer than the path takes to forget them and were looked at
// for long enough to be found dead, and none was: something keeps them, as keepalive does that is armed.
func outlived(in Input, silent *float64, atMost float64) bool {
	looked, unharmed := unharmedFor(in)
	return silent != nil && *silent >= atMost && unharmed && looked >= 2**silent
}

// speaksAfter is how many seconds of silence keepalive waits by the kernel's setting in the workload's pods, the longest;
// where nobody looks into them, in the probe's.
func speaksAfter(in Input, p ProbeResult) (longest int, known bool) {
	for _, o := range in.Observations {
		if s, read := setting(o, sysctlKeepaliveTime); read {
			longest, known = max(longest, s), true
		}
	}
	if !known {
		s, err := strconv.Atoi(p.Result.Host.Sysctls[sysctlKeepaliveTime])
		return s, err == nil
	}
	return longest, known
}

// neverSpoke says whether every observed pod is known to have sent no keepalive probe, for as long as that is known.
func neverSpoke(in Input) bool {
	for _, o := range in.Observations {
		if sent, known := counter(sinceItBegan(o), "TcpExt.TCPKeepAlive"); !known || sent.value > 0 {
			return false
		}
	}
	return len(in.Observations) > 0
}

func uselessKeepalive() Rule {
	return Rule{
		ID: "CP502", Title: "Keepalive does not keep connections: something above TCP cuts them",
		Category: CategoryLongLived, Severity: Error, Needs: []string{needIdle}, Helps: []string{needObserver},
		AppliesNot: "Policies that do not ask for the measurement idle, and paths on which no connection was cut.",
		Why: "A proxy or load balancer that counts requests or data, not packets, cuts a connection although TCP keepalive runs on it; keepalive also ends at the nearest hop that ends TCP. " +
			"Only traffic of the application's own, or a longer time at that hop, keeps such a connection.",
		Cures: []string{
			"Let the application speak sooner than the cut-off: HTTP/2 or gRPC PING, WebSocket ping, a query of the pool (HikariCP: keepaliveTime; SQLAlchemy: pool_pre_ping; Redis: health_check_interval). Or raise the hop's own time: nginx proxy_timeout or proxy_read_timeout, HAProxy timeout client and server, Envoy idle_timeout, Istio ISTIO_META_IDLE_TIMEOUT, NLB with TLS: fixed.",
		},
		Source: "docs.aws.amazon.com, Network Load Balancers, connection idle timeout (TLS listeners ignore keepalive); RFC 9293 section 3.8.4",
		judge:  judgeUselessKeepalive,
	}
}

func judgeUselessKeepalive(in Input) judgement {
	return perFigures(in, idleSource(), func(_ ProbeResult, i *result.Idle) judgement {
		atLeast, atMost, cut := cutBounds(i)
		switch {
		case i.Cut == nil:
			return unknown("No connection could be watched through a silence.")
		case !*i.Cut:
			return notApplicable("No connection was cut that keepalive could have kept; CP501 says whether that was looked at for long enough.")
		case i.How == result.CutFIN && in.Protocol != protocolTCP:
			return pass("Idle connections are closed with a FIN, which the client sees before it uses them again, so that none needs keepalive.", cutEvidence(i))
		case cut && i.KeepaliveHelps == nil && livesOn(in, i):
			return pass(fmt.Sprintf("Connections silent for %s are %s. Whether keepalive prevents it was not found out, but the workload's live on.", between(atLeast, atMost), howCut(i.How)), cutEvidence(i))
		case !cut || i.KeepaliveHelps == nil:
			return unknown("Idle connections are cut; whether keepalive prevents it was not found out, for lack of time. Raise probe.limits.idleSeconds" + enoughFor(atMost) + ".")
		case *i.KeepaliveHelps:
			return pass(fmt.Sprintf("Keepalive at a third of the cut-off (%s) kept connections alive.", between(atLeast, atMost)), cutEvidence(i))
		}
		seen := fmt.Sprintf("Connections silent for %s are %s, with keepalive and without.", between(atLeast, atMost), howCut(i.How))
		if i.How == result.CutFIN {
			return judgeOrderlyClose(in, i, seen, atMost)
		}
		return judgeCutAnyway(in, i, seen+likeHop(atLeast, atMost))
	})
}

// bothRounds is how many times the cut-off the probe has to wait to try keepalive: once to find it, and once and a quarter to
// see whether something outlives it (package idle); the rest is for the answers.
const bothRounds = 2.3

// mostIdleSeconds is the highest that probe.limits.idleSeconds may be.
const mostIdleSeconds = 7200

// enoughFor says to how many seconds the limit has to be raised. Empty: that is not known, or more than it may be.
func enoughFor(cutSeconds float64) string {
	enough := math.Ceil(bothRounds*cutSeconds/100) * 100
	if cutSeconds == 0 || enough > mostIdleSeconds {
		return ""
	}
	return " to " + figure.Count(int(enough))
}

// livesOn says whether the workload's connections are not silent for long enough to be cut, or have lived through it.
func livesOn(in Input, i *result.Idle) bool {
	silent := longestSilence(in)
	return silent != nil && i.AfterSecondsAtLeast != nil && *silent < *i.AfterSecondsAtLeast || outlived(in, silent, *i.AfterSecondsAtMost)
}

// judgeCutAnyway judges a timer that resets or forgets connections whatever keepalive does, by how silent the workload's are.
func judgeCutAnyway(in Input, i *result.Idle, seen string) judgement {
	evidence := cutEvidence(i)
	silent := longestSilence(in)
	if silent == nil {
		return fail(Warning, seen, evidence, 0)
	}
	evidence["silentSecondsP99"] = fmt.Sprintf("%.0f", *silent)
	switch {
	case i.AfterSecondsAtLeast != nil && *silent < *i.AfterSecondsAtLeast:
		return pass(fmt.Sprintf("%s The workload's connections are silent for %s at the most, so they live on.", seen, figure.Lasting(*silent)), evidence)
	case *silent >= *i.AfterSecondsAtMost:
		return fail(forgottenIs(i.How), fmt.Sprintf("%s Some of the workload's are silent for %s already.", seen, figure.Lasting(*silent)), evidence, 0)
	}
	return fail(Warning, seen, evidence, 0)
}

// judgeOrderlyClose judges a timer that closes connections of any protocol with a FIN. Who counts on keepalive does not
// expect it. A server that gives up on clients that have not spoken yet looks the same from outside, so it takes the
// workload's own connections to tell.
func judgeOrderlyClose(in Input, i *result.Idle, seen string, atMost float64) judgement {
	armed := 0
	for _, c := range linkConnections(in) {
		armed += c.Keepalive.Armed
	}
	silent := longestSilence(in)
	if armed == 0 || silent == nil || *silent >= atMost {
		return pass(seen+" The client sees the FIN before it uses them again.", cutEvidence(i))
	}
	evidence := cutEvidence(i)
	evidence["armed"] = strconv.Itoa(armed)
	return fail(Info, fmt.Sprintf("%s The workload has keepalive on %s, and none has outlived that silence.", seen, plural(int64(armed), "connection")), evidence, 0)
}
