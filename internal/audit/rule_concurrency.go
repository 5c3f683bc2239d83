package audit

import (
	"fmt"
	"math"
	"strconv"

	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func pastKnee() Rule {
	return Rule{
		ID: "CP604", Title: "More connections are used at once than the server gains from",
		Category: CategoryThroughput, Severity: Info, Needs: []string{needParallel, needObserver},
		AppliesNot: "Links that are not HTTP/1, policies without `from` or that do not name the measurement parallel.",
		Why: "Up to a number of connections the server answers more requests a second; beyond it more connections only make requests wait in a longer queue. " +
			"The latency grows with every further connection and the throughput does not.",
		Cures: []string{
			"Bound the pools of all pods together at the knee (Go: MaxConnsPerHost; Istio: connectionPool.tcp.maxConnections; HikariCP: maximumPoolSize), and let requests wait in the client, where they can be given up.",
			"Give the server more of what it ran out of: processor time, workers, or more replicas; then measure parallel again.",
		},
		Source: "Little, Operations Research 9 (1961), L = λW: with a bounded rate, more at once wait longer",
		judge:  judgePastKnee,
	}
}

func judgePastKnee(in Input) judgement {
	if j, none := notObserved(in); none && j.result == NotApplicable {
		return j
	}
	return perFigures(in, parallelSource(), func(_ ProbeResult, m *result.Parallel) judgement {
		if len(m.Levels) == 0 {
			return unknown("No number of connections was tried.")
		}
		busy, pod, known := busyPeak(in)
		last := m.Levels[len(m.Levels)-1]
		evidence := map[string]string{"connectionsTried": strconv.Itoa(last.Connections)}
		if m.StoppedBy != "" {
			evidence["stoppedBy"] = m.StoppedBy
		}
		seen := fmt.Sprintf("Up to %s connections at once each more gained", figure.Count(last.Connections))
		limit := last.Connections
		if m.Knee != nil {
			limit = *m.Knee
			evidence["knee"] = strconv.Itoa(limit)
			seen = fmt.Sprintf("Beyond %s connections at once the server gains nothing from more%s", figure.Count(limit), atKnee(m))
		}
		if !known {
			return unknown(fmt.Sprintf("%s. How many the workload uses at once is not known.", seen))
		}
		evidence["pod"], evidence["busyPeak"] = pod, strconv.Itoa(busy)
		seen += fmt.Sprintf("; pod %s had %s busy within one second", pod, figure.Count(busy))
		switch {
		case busy <= limit:
			return pass(seen+".", evidence)
		case m.Knee == nil:
			return unknown(seen + ", more than the probe tried.")
		}
		// What is busy within a second need not be so at once.
		return fail(Info, seen+".", evidence, 0)
	})
}

// atKnee tells the rate and the latency at the knee and at the next level.
func atKnee(m *result.Parallel) string {
	for i, level := range m.Levels {
		if level.Connections == *m.Knee && i+1 < len(m.Levels) {
			next := m.Levels[i+1]
			return fmt.Sprintf(" (%s requests a second with a median of %s; with %s: %s and %s)", figure.Rate(level.RequestsPerSecond), figure.Microseconds(level.P50Microseconds),
				figure.Count(next.Connections), figure.Rate(next.RequestsPerSecond), figure.Microseconds(next.P50Microseconds))
		}
	}
	return ""
}

// busyPeak is the most connections that one pod had busy within one second, over the addresses of the link.
func busyPeak(in Input) (busy int, pod string, known bool) {
	for _, o := range in.Observations {
		for _, d := range o.Observation.Destinations {
			if c := d.Connections; c != nil && c.BusyPeak != nil && ofLink(d, in.Addresses) && (!known || *c.BusyPeak > busy) {
				busy, pod, known = *c.BusyPeak, o.Pod, true
			}
		}
	}
	return busy, pod, known
}

func streamsAgainstConnections() Rule {
	return Rule{
		ID: "CP605", Title: "One HTTP/2 connection carries less than several would",
		Category: CategoryThroughput, Severity: Warning, Needs: []string{needHTTP2},
		AppliesNot: "Links that are not HTTP/2 or gRPC, and policies that do not ask for the measurement http2.",
		Why: "HTTP/2 clients put all requests on one connection, as streams. " +
			"Where the server or a proxy works on the streams of a connection one after the other, allows few of them, or gives them a small flow-control window, requests wait for each other although there is room.",
		Cures: []string{
			"Let the client open several connections (gRPC: several channels, or a pool with use_local_subchannel_pool; .NET: EnableMultipleHttp2Connections; Envoy: max_concurrent_streams of the cluster, so that it opens more).",
			"Let the server allow more (nginx: http2_max_concurrent_streams; Envoy: http2_protocol_options.max_concurrent_streams, initial_stream_window_size and initial_connection_window_size; grpc-go: MaxConcurrentStreams, InitialConnWindowSize; Go: http2.MaxConcurrentStreams).",
		},
		Source: "RFC 9113 sections 5.1.2 (stream concurrency) and 5.2 (flow control)",
		judge:  judgeStreams,
	}
}

func judgeStreams(in Input) judgement {
	return perFigures(in, http2Source(), func(_ ProbeResult, h *result.HTTP2) judgement {
		if h.Supported != nil && !*h.Supported {
			return notApplicable("The target does not speak HTTP/2.")
		}
		evidence := map[string]string{}
		if h.MaxConcurrentStreams != nil {
			evidence["maxConcurrentStreams"] = strconv.FormatInt(*h.MaxConcurrentStreams, 10)
			if *h.MaxConcurrentStreams < 2 {
				return fail(Warning, "The server allows fewer than two streams at once, so that requests on a connection wait for each other.", evidence, 1)
			}
		}
		one, many := h.ConcurrentMicroseconds, h.ParallelMicroseconds
		if h.Streams == nil || one == nil || many == nil || one.P50Low == nil || many.P50High == nil || *many.P50High <= 0 {
			return unknown("Requests at once on one connection and on several could not be compared.")
		}
		evidence["streams"] = strconv.Itoa(*h.Streams)
		evidence["concurrentP50Microseconds"], evidence["parallelP50Microseconds"] = fmt.Sprintf("%.0f", one.P50), fmt.Sprintf("%.0f", many.P50)
		seen := fmt.Sprintf("%d requests at once take %s on one connection and %s on %d", *h.Streams, figure.Microseconds(one.P50), figure.Microseconds(many.P50), *h.Streams)
		// All at once, one connection takes as long as several; one after the other, as many times longer as there are streams.
		// The middle between the two is the square root.
		if *one.P50Low / *many.P50High > math.Sqrt(float64(*h.Streams)) {
			return fail(Warning, seen+": the streams of a connection wait for each other (medians; their 95 % intervals leave no doubt).", evidence, 0)
		}
		return pass(seen+".", evidence)
	})
}
