package audit

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	// retransmissionSeconds is what one lost segment delays a request by (include/net/tcp.h, TCP_RTO_MIN).
	retransmissionSeconds = 0.2
	// timerSeconds is how coarse idle timers are: servers announce and count whole seconds.
	timerSeconds = 1
	// shortestUsualSeconds is the shortest time for which load balancers and proxies keep idle connections to a server unless
	// they are told otherwise (AWS ALB and nginx 60 s, Go 90 s, Envoy an hour).
	shortestUsualSeconds = 60
	// passedOnSeconds is by how much silence must outlive what a Keep-Alive header promises for the header to be another
	// hop's: whole seconds, and the second that Node.js waits beyond its promise.
	passedOnSeconds = 2 * timerSeconds
)

// Cures of a broken order of idle times.
const (
	cureRaiseServer = iota
	cureLowerClient
	cureLowerProxy
	cureDatabasePool
)

func idleOrder() Rule {
	return Rule{
		ID: "CP205", Title: "Idle connections are closed by the server before the client lets go of them",
		Category: CategoryReuse, Severity: Warning, Needs: []string{needIdle, needObserver},
		Helps:      []string{needReuse, needHandshake, needIdentity},
		AppliesNot: "HTTP/2 and gRPC, where a GOAWAY tells which requests may be repeated, WebSocket, policies without `from` unless the server closes sooner than load balancers let go, policies that do not ask for the measurement idle, and paths that forget connections or reset them, where no close of the server crosses a request (see CP501). Over TCP the probe says nothing, so that a server that gives up on clients that have not spoken yet cannot be told from one that closes idle connections, unless the workload's own outlive that time.",
		Why: "A request that the client sends while the server's close is on its way meets a closed connection: a proxy answers 502, a client reports a reset, and only what is idempotent may be repeated. " +
			"It cannot happen if along the chain each hop lets go of idle connections before the next one does: client < sidecar < load balancer < server.",
		Cures: []string{
			"Raise the server's idle time above the client's (Node.js: server.keepAliveTimeout, with headersTimeout above it; nginx: keepalive_timeout; Apache: KeepAliveTimeout; gunicorn: --keep-alive; uvicorn: --timeout-keep-alive; Tomcat: keepAliveTimeout, in Spring Boot server.tomcat.keep-alive-timeout; Jetty: idleTimeout; Kestrel: KeepAliveTimeout; an ALB: idle_timeout.timeout_seconds); that opens no more connections than before.",
			"Let the client drop idle connections earlier (Go: IdleConnTimeout; Istio: connectionPool.http.idleTimeout; Envoy: common_http_protocol_options.idle_timeout; nginx: keepalive_timeout of the upstream; Apache HttpClient: evictIdleConnections; HikariCP: maxLifetime), and repeat requests that are idempotent.",
			"Raise the server's idle time above that of the proxy before it (Node.js: server.keepAliveTimeout, with headersTimeout above it), or lower the proxy's towards the server (Istio: connectionPool.http.idleTimeout; Envoy: idle_timeout, 1 h by default, of the cluster; nginx: keepalive_timeout of the upstream).",
			"Let the pool end or use idle connections sooner (HikariCP: keepaliveTime, maxLifetime; SQLAlchemy: pool_recycle, pool_pre_ping; Redis: health_check_interval), or raise the timer at the other end or at a sidecar (MySQL: wait_timeout; Redis: timeout; Envoy: tcp_proxy.idle_timeout; Istio: ISTIO_META_IDLE_TIMEOUT of both sidecars, as a DestinationRule's tcp.idleTimeout does not reach it; HAProxy: timeout client and server). TCP keepalive does not reset such a timer.",
		},
		Source: "RFC 9112 sections 9.3.1 (retrying requests) and 9.5 (failures and timeouts); nodejs/node#27363, envoyproxy/envoy#14981, istio/istio#55138; istio/istio#24387 and #60009 (databases)",
		judge:  judgeIdleOrder,
	}
}

func judgeIdleOrder(in Input) judgement {
	switch {
	case in.Protocol == protocolWebSocket:
		return notApplicable("WebSocket connections are not pooled.")
	case speaksHTTP2(in.Protocol):
		return notApplicable("Over HTTP/2 a server says with a GOAWAY which requests it has not begun, so that a client can repeat them.")
	}
	return perFigures(in, idleSource(), func(p ProbeResult, idle *result.Idle) judgement {
		return gravest([]judgement{judgeClientIdle(in, p, idle), judgeProxyIdle(in, p, idle)})
	})
}

// judgeClientIdle judges the first place of the chain: the client against whatever closes its connections.
func judgeClientIdle(in Input, p ProbeResult, idle *result.Idle) judgement {
	client, clientKnown := clientIdleOf(in)
	switch {
	case idle.Cut == nil:
		return unknown("Whether idle connections are cut was not found out.")
	case holdsNone(in):
		return notApplicable("No observed pod holds a connection to this link open, so that none is kept idle.")
	case !*idle.Cut:
		return judgeUncut(in, idle, client, clientKnown)
	case idle.How == result.CutBlackHole || idle.How == result.CutRST:
		return notApplicable("The path forgets idle connections or resets them, so that no close of the server crosses a request; CP501 judges that.")
	case in.Protocol == protocolTCP && (!clientKnown || client.p99Seconds >= longestCut(idle)):
		return judgeUnspoken(in, idle, client, clientKnown)
	}
	cut := cutSeconds(idle)
	limit := max(cut-marginSeconds(in, p), 0)
	seen := fmt.Sprintf("The other end closes a connection after %s of silence%s", cutInWords(idle), consistentWith(idle))
	evidence := idleEvidence(idle)
	evidence["clientIdleSecondsAtMost"] = fmt.Sprintf("%.1f", limit)
	if announced := keepAliveSeconds(in, p); announced != nil {
		evidence["keepAliveTimeoutSeconds"] = strconv.Itoa(*announced)
		seen += fmt.Sprintf(" (its Keep-Alive header says %d s)", *announced)
	}
	switch {
	case !clientKnown && limit < shortestUsualSeconds:
		return fail(Info, fmt.Sprintf("%s. Load balancers and pools usually keep idle connections for %d s or more and so meet the race; what this client does is not known. %s",
			seen, shortestUsualSeconds, whyNoClient(in)), evidence, cureRaiseServer)
	case in.ServerOnly:
		return notApplicable("The policy names no workload in `from` whose idle time could be compared.")
	case in.Unobserved && !clientKnown:
		return notApplicable(seen + ". Whether the client keeps idle connections for longer, the policy asks nobody to look.")
	case !clientKnown:
		return unknown(fmt.Sprintf("%s. A client that keeps idle connections for longer than %.1f s meets the race; what this one does is not known. %s", seen, limit, whyNoClient(in)))
	}
	evidence["pod"], evidence["idleP99Seconds"] = client.pod, fmt.Sprintf("%.1f", client.p99Seconds)
	cure := cureRaiseServer
	if in.Protocol == protocolTCP {
		cure = cureDatabasePool
	}
	switch {
	case client.p99Seconds >= limit:
		return fail(Warning, fmt.Sprintf("%s, and connections of pod %s are idle for %s or longer. To be safe it has to let go of them by %.1f s, or the other end has to wait longer.",
			seen, client.pod, figure.Microseconds(client.p99Seconds*1e6), limit), evidence, cure)
	case client.endedInUse(cut) && client.closedByPeerBeyond(majority, cut) && !endedByCount(in, p, client):
		evidence["closed"], evidence["closedByPeer"] = strconv.FormatInt(client.closed, 10), strconv.FormatInt(client.closedByPeer, 10)
		return fail(Info, fmt.Sprintf("%s, and it ended %s of the %s connections of pod %s that ended %s, more than can have been idle for so long: by their age or their number of requests too.",
			seen, figure.Count(int(client.closedByPeer)), figure.Count(int(client.closed)), client.pod, client.period), evidence, cure)
	case !client.endedInUse(cut) && client.closedByPeerBeyond(majority, cut):
		evidence["closed"], evidence["closedByPeer"] = strconv.FormatInt(client.closed, 10), strconv.FormatInt(client.closedByPeer, 10)
		return fail(Warning, fmt.Sprintf("%s, and it ended %s of the %s connections of pod %s that ended %s. To be safe the client has to let go first, by %.1f s.",
			seen, figure.Count(int(client.closedByPeer)), figure.Count(int(client.closed)), client.pod, client.period, limit), evidence, cure)
	case !client.endedInUse(cut) && client.closedByPeerBeyond(amortisedPercent/100.0, cut):
		return unknown(fmt.Sprintf("%s. It ended %s of the %s connections of pod %s that ended %s, and whether it did so because they were idle cannot be told.",
			seen, figure.Count(int(client.closedByPeer)), figure.Count(int(client.closed)), client.pod, client.period))
	case !client.enough:
		return unknown(fmt.Sprintf("%s. Too few connections of the workload were seen for long enough to tell for how long it keeps idle ones.", seen))
	}
	return pass(fmt.Sprintf("%s, and the workload's connections are idle for at most %s.", seen, figure.Microseconds(client.p99Seconds*1e6)), evidence)
}

// judgeUnspoken judges a close over TCP by whether the workload's connections, which have spoken, live on. The probe's have not:
// PostgreSQL closes such connections after a minute (authentication_timeout), MySQL after ten seconds (connect_timeout),
// and neither does so with connections that are in use.
func judgeUnspoken(in Input, idle *result.Idle, client clientIdle, clientKnown bool) judgement {
	seen := fmt.Sprintf("The other end closes a connection on which nothing was said after %s", cutInWords(idle))
	switch {
	case in.ServerOnly, in.Unobserved && !clientKnown:
		return notApplicable(seen + ". Whether it does so with connections that are in use cannot be told without a look at the workload's.")
	case !clientKnown:
		return unknown(fmt.Sprintf("%s. Whether it does so with connections that are in use is not known. %s", seen, whyNoClient(in)))
	}
	evidence := idleEvidence(idle)
	evidence["pod"], evidence["idleP99Seconds"] = client.pod, fmt.Sprintf("%.1f", client.p99Seconds)
	return pass(fmt.Sprintf("%s, but those of pod %s stay open for %s of silence: it gives up only on clients that never speak.",
		seen, client.pod, figure.Lasting(client.p99Seconds)), evidence)
}

// longestCut is by how much silence every connection of the probe was cut that was cut at all.
func longestCut(idle *result.Idle) float64 {
	if idle.AfterSecondsAtMost != nil {
		return *idle.AfterSecondsAtMost + timerSeconds
	}
	return cutSeconds(idle) + timerSeconds
}

// judgeUncut judges a path on which no silence that was tried ended a connection.
func judgeUncut(in Input, idle *result.Idle, client clientIdle, clientKnown bool) judgement {
	switch {
	case in.ServerOnly:
		return notApplicable("The policy names no workload in `from` whose idle time could be compared.")
	case idle.SurvivedSeconds == nil:
		return unknown("For how long idle connections survive was not found out.")
	}
	survived := *idle.SurvivedSeconds
	seen := fmt.Sprintf("Connections survived every silence that was tried, up to %s", figure.Microseconds(survived*1e6))
	switch {
	case in.Unobserved && !clientKnown:
		return notApplicable(seen + ". For how long the client keeps idle ones, the policy asks nobody to look.")
	case !clientKnown:
		return unknown(fmt.Sprintf("%s. For how long the client keeps idle ones is not known. %s", seen, whyNoClient(in)))
	case client.p99Seconds >= survived:
		return unknown(fmt.Sprintf("%s, but those of pod %s are idle for %s. More seconds for the probe would tell.", seen, client.pod, figure.Microseconds(client.p99Seconds*1e6)))
	case !client.enough:
		return unknown(seen + ". Too few connections of the workload were seen for long enough to tell for how long it keeps idle ones.")
	}
	evidence := idleEvidence(idle)
	evidence["idleP99Seconds"] = fmt.Sprintf("%.1f", client.p99Seconds)
	return pass(fmt.Sprintf("%s, and the workload's are idle for at most %s.", seen, figure.Microseconds(client.p99Seconds*1e6)), evidence)
}

// judgeProxyIdle judges the next place: a proxy against the server behind it, where a promise of that server came through
// the proxy. It has nothing to say where none did.
func judgeProxyIdle(in Input, p ProbeResult, idle *result.Idle) judgement {
	passed, ok := passedOn(in, p, idle)
	if !ok {
		return notApplicable("No promise of a server behind a proxy was seen.")
	}
	evidence := idleEvidence(idle)
	evidence["keepAliveTimeoutSeconds"], evidence["via"] = strconv.Itoa(passed.promisedSeconds), passed.proxy
	seen := fmt.Sprintf("Between the proxy (%s) and the server behind it: the server closes idle connections after %d s, as its Keep-Alive header says",
		passed.proxy, passed.promisedSeconds)
	errors := p.Result.Statuses["502"] + p.Result.Statuses["503"]
	if errors > 0 {
		evidence["statuses502And503"] = strconv.Itoa(errors)
		return fail(Warning, fmt.Sprintf("%s, and %s of the probe's requests were answered 502 or 503. The proxy has to let go of them earlier.",
			seen, figure.Count(errors)), evidence, cureLowerProxy)
	}
	return fail(Info, seen+". Whether the proxy lets go of them earlier cannot be seen from here.", evidence, cureLowerProxy)
}

// cutSeconds is the longest silence that is known to be safe: at which all lived, or just below the one that cut.
func cutSeconds(idle *result.Idle) float64 {
	switch {
	case idle.AfterSecondsAtLeast != nil:
		return *idle.AfterSecondsAtLeast
	case idle.AfterSecondsAtMost != nil:
		return *idle.AfterSecondsAtMost
	}
	return 0
}

// marginSeconds is by how much earlier the client has to let go: the server's clock starts half a round trip before the
// client's and the request takes another half to arrive, and one of the two may have to be sent again.
func marginSeconds(in Input, p ProbeResult) float64 {
	margin := retransmissionSeconds
	if h := beside(in, p, handshakeSource()); h != nil && h.KernelRTTMicroseconds != nil {
		margin += h.KernelRTTMicroseconds.P99 / 1e6
	}
	return margin
}

func cutInWords(idle *result.Idle) string {
	if idle.AfterSecondsAtLeast == nil || idle.AfterSecondsAtMost == nil {
		return fmt.Sprintf("at most %.1f s", cutSeconds(idle))
	}
	return fmt.Sprintf("%.1f to %.1f s", *idle.AfterSecondsAtLeast, *idle.AfterSecondsAtMost)
}

// idleDefault is after how much silence a server or a load balancer closes, if nobody told it otherwise.
type idleDefault struct {
	seconds float64
	of      string
}

// idleDefaults are those of servers and load balancers that close with a FIN or a RST, from their documentation.
func idleDefaults() []idleDefault {
	return []idleDefault{
		{2, "gunicorn"}, {5, "Node.js"}, {5, "Apache"}, {5, "uvicorn"}, {6, "newer Node.js, which waits 1 s more"}, {20, "Tomcat"}, {30, "Jetty"},
		{60, "an AWS ALB"}, {60, "Tomcat within Spring Boot"}, {65, "Node.js behind an ALB, as its guides set it"}, {75, "nginx"}, {130, "Kestrel (ASP.NET Core)"},
		{350, "an AWS NLB"}, {600, "a Google load balancer's backend"}, {3600, "Envoy"},
	}
}

// consistentWith names whose default the cut-off is like. It is no proof: anybody may have set that figure.
func consistentWith(idle *result.Idle) string {
	if idle.AfterSecondsAtLeast == nil || idle.AfterSecondsAtMost == nil {
		return ""
	}
	var names []string
	for _, d := range idleDefaults() {
		// A close is seen a round trip late, which half of what tells whole seconds apart allows for.
		if d.seconds >= *idle.AfterSecondsAtLeast-timerSeconds/2.0 && d.seconds <= *idle.AfterSecondsAtMost {
			names = append(names, d.of)
		}
	}
	if len(names) == 0 {
		return ""
	}
	return ", consistent with " + strings.Join(names, " or ")
}

// keepAliveSeconds is what the Keep-Alive header promised, nil if there was none.
func keepAliveSeconds(in Input, p ProbeResult) *int {
	r := beside(in, p, reuseSource())
	if r == nil || r.KeepAliveHeader == nil {
		return nil
	}
	return r.KeepAliveHeader.TimeoutSeconds
}

// passage is a promise of a server that a proxy passed on.
type passage struct {
	proxy           string
	promisedSeconds int
}

// passedOn says whether the Keep-Alive header is that of a server behind a proxy: the proxy names itself, and connections
// to it outlive the promise, which therefore is not its own.
func passedOn(in Input, p ProbeResult, idle *result.Idle) (passage, bool) {
	promised, identity := keepAliveSeconds(in, p), beside(in, p, identitySource())
	if promised == nil || identity == nil {
		return passage{}, false
	}
	proxy := proxyNamed(identity.Via)
	if proxy == "" || survivedSeconds(idle) <= float64(*promised+passedOnSeconds) {
		return passage{}, false
	}
	return passage{proxy: proxy, promisedSeconds: *promised}, true
}

// proxyNamed returns the first field by which a proxy names itself. A Server field may as well be the server's own, except
// for names of proxies alone.
func proxyNamed(via []string) string {
	for _, field := range via {
		name, value, _ := strings.Cut(field, ": ")
		switch {
		case name == "via", name == "forwarded", strings.HasPrefix(name, "x-envoy-"):
			return field
		case name == "server" && strings.Contains(strings.ToLower(value), "envoy"):
			return field
		}
	}
	return ""
}

// survivedSeconds is the longest silence that connections are known to survive.
func survivedSeconds(idle *result.Idle) float64 {
	longest := 0.0
	for _, known := range []*float64{idle.AfterSecondsAtLeast, idle.SurvivedSeconds} {
		if known != nil {
			longest = max(longest, *known)
		}
	}
	return longest
}

func idleEvidence(idle *result.Idle) map[string]string {
	evidence := map[string]string{}
	for name, value := range map[string]*float64{
		"cutAfterSecondsAtLeast": idle.AfterSecondsAtLeast, "cutAfterSecondsAtMost": idle.AfterSecondsAtMost, "survivedSeconds": idle.SurvivedSeconds,
	} {
		if value != nil {
			evidence[name] = fmt.Sprintf("%.1f", *value)
		}
	}
	if idle.How != "" {
		evidence["how"] = string(idle.How)
	}
	return evidence
}

// clientIdle is for how long a workload keeps idle connections, by those that were seen.
type clientIdle struct {
	pod string
	// p99Seconds is the longest 99th percentile of the pods and addresses.
	p99Seconds float64
	// closed of pod's connections ended in the period, closedByPeer of them by the other end. lifetimeSecondsAtMost is the
	// median of how long they lived.
	closed, closedByPeer  int64
	period                string
	lifetimeSecondsAtMost float64
	// closedByPeerPerSecond is over the time that was counted, open how many of pod's connections are.
	closedByPeerPerSecond float64
	open                  int
	// exchanges is the median of how many requests they can have carried. 0: not known.
	exchanges float64
	// enough: the observers looked for as long as it takes to see a usual idle time go by.
	enough bool
}

// usualIdleSeconds is the longest idle time that is usual for clients' pools (Go: 90 s); an observer must look for longer to
// know that a client keeps no connection for that long.
const usualIdleSeconds = 90

// clientIdleOf gathers it from all observed pods; the pod that keeps idle connections for longest speaks for them.
func clientIdleOf(in Input) (clientIdle, bool) {
	client := clientIdle{enough: true}
	known := false
	for _, o := range in.Observations {
		client.enough = client.enough && o.Observation.UptimeSeconds >= usualIdleSeconds
		for _, d := range o.Observation.Destinations {
			c := d.Connections
			if c == nil || c.IdleSeconds == nil || !ofLink(d, in.Addresses) {
				continue
			}
			if !known || c.IdleSeconds.P99 > client.p99Seconds {
				client.pod, client.p99Seconds = o.Pod, c.IdleSeconds.P99
				client.closed, client.closedByPeer, client.period, client.lifetimeSecondsAtMost = c.Closed, c.Closed-c.ClosedHere, period(o), 0
				if c.LifetimeSecondsAtMost != nil {
					client.lifetimeSecondsAtMost = c.LifetimeSecondsAtMost.P50
				}
				client.open, client.closedByPeerPerSecond, client.exchanges = c.Open, 0, 0
				if c.ExchangesAtMost != nil {
					client.exchanges = c.ExchangesAtMost.P50
				}
				if counted := countedSeconds(o); counted > 0 {
					client.closedByPeerPerSecond = float64(client.closedByPeer) / counted
				}
			}
			known = true
		}
	}
	return client, known
}

// whyNoClient says why it is not known for how long the workload keeps idle connections.
func whyNoClient(in Input) string {
	if j, none := notObserved(in); none {
		return j.message
	}
	return "No open connection of the workload to this link was seen."
}

// closedByPeerBeyond says that more than a share of the pod's connections were ended by the other end, after they had lived
// for at least as long as its idle time. Where most are and may have been idle, that time is the shortest of the chain.
func (c clientIdle) closedByPeerBeyond(share, cut float64) bool {
	return c.closed >= enoughToSeeNone && provenAbove(c.closedByPeer, c.closed, share) && c.lifetimeSecondsAtMost >= cut
}

// endedInUse says that the other end did not end the connections because they were idle, but by their age or their number of
// requests (nginx: 1,000). Before it does for idleness each is idle for all of cut, so that by Little's law as many are idle
// for longer than p99Seconds at any time as end in the rest of cut. But at most one in a hundred is, and that none is seen of
// three that are to be expected happens by chance in 5 % of the looks (Poisson).
func (c clientIdle) endedInUse(cut float64) bool {
	expected := c.closedByPeerPerSecond * (cut - c.p99Seconds)
	return expected-objectiveShare*float64(c.open) >= -math.Log(errorProbability)
}

// endedByCount says that half of the connections carried as many requests as the server allows on one, and announces.
func endedByCount(in Input, p ProbeResult, client clientIdle) bool {
	r := beside(in, p, reuseSource())
	return r != nil && r.CloseCause == result.CloseAnnounced && r.RequestsPerConnection != nil && client.exchanges >= float64(*r.RequestsPerConnection)
}
