package report_test

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/connpolicy/connpolicy/probes/report"
	"github.com/connpolicy/connpolicy/probes/result"
)

// update rewrites the golden files: go test ./probes/report -update.
var update = flag.Bool("update", false, "rewrite the golden files")

func results() map[string]result.Result {
	target := result.Target{URL: "http://payments.shop.svc:8080/healthz", Protocol: "HTTP", Address: "198.18.0.7:8080"}
	webSocket := result.Target{URL: "ws://chat.shop.svc:8080/ws", Protocol: "WebSocket", Address: "198.18.0.8:8080"}
	return map[string]result.Result{
		"measured.txt": {
			Version: result.Version, Target: target, ElapsedSeconds: 29.98,
			Host:  result.Host{Kernel: "6.18.44", Sysctls: map[string]string{"net.ipv4.ip_local_port_range": "32768 60999", "net.ipv4.ip_local_reserved_ports": ""}},
			Spent: result.Spent{Connections: 111, Requests: 1100, BytesSent: 9100, BytesReceived: 143000},
			Measurements: result.Measurements{
				DNS: &result.DNS{
					Meta:                   result.Meta{Outcome: result.Measured, Samples: 20, ElapsedSeconds: 2.1},
					ResolveMicroseconds:    &result.Distribution{Min: 1000, P50: 1200, P90: 1400, P99: 5001900, Max: 5001900, P50Low: new(1100.0), P50High: new(1300.0)},
					NeededMicroseconds:     &result.Distribution{Min: 300, P50: 320, P90: 400, P99: 500, Max: 500},
					SearchListMicroseconds: new(880.0), FullName: "payments.shop.svc.cluster.local.", QueriesPerName: new(6), QueriesNeeded: new(2),
					Queries: new(81), Lost: new(1), Negative: new(40), Rejected: new(0), Truncated: new(2), Ignored: new(0),
					TimeToLiveSeconds: new(5), Aliases: new(0), Servers: []string{"10.96.0.10"}, Ndots: new(5), TimeoutSeconds: new(5), Attempts: new(2),
					Search: []string{"shop.svc.cluster.local", "svc.cluster.local", "cluster.local"},
				},
				Handshake: &result.Handshake{
					Meta:                  result.Meta{Outcome: result.Measured, Samples: 67, ElapsedSeconds: 1.44},
					ConnectMicroseconds:   &result.Distribution{Min: 61.5, P50: 93.25, P90: 120, P99: 301.125, Max: 410, P50Low: new(90.5), P50High: new(95.75), Histogram: []int{1, 4, 20, 22, 9, 4, 0, 0, 3, 0, 0, 1}},
					KernelRTTMicroseconds: &result.Distribution{Min: 30, P50: 39, P90: 50, P99: 90, Max: 95},
					SynRetransmissions:    new(0), SetupSharePercent: new(32.5),
					TLS: &result.TLS{
						Version: "TLS 1.3", ALPN: "http/1.1", CertificateExpires: "2027-01-31T00:00:00Z", ResumptionOffered: new(true), Resumed: new(15), ResumptionsTried: new(16),
						FullMicroseconds:    &result.Distribution{Min: 900, P50: 1000, P90: 1100, P99: 1200, Max: 1300},
						ResumedMicroseconds: &result.Distribution{Min: 300, P50: 400, P90: 500, P99: 600, Max: 700},
					},
				},
				Reuse: &result.Reuse{
					Meta: result.Meta{Outcome: result.Measured, Samples: 300, ElapsedSeconds: 20},
					Kept: new(true), RequestsPerConnection: new(100), RequestsAtLeast: new(100), CloseCause: result.CloseAnnounced,
					KeepAliveHeader:    &result.KeepAliveHeader{TimeoutSeconds: new(5), Max: new(100)},
					NewMicroseconds:    &result.Distribution{Min: 200, P50: 300, P90: 400, P99: 500, Max: 600},
					ReusedMicroseconds: &result.Distribution{Min: 100, P50: 200, P90: 300, P99: 400, Max: 500},
				},
				Idle: &result.Idle{
					Meta: result.Meta{Outcome: result.Measured, Samples: 30, ElapsedSeconds: 10}, Cut: new(true), How: result.CutFIN,
					AfterSecondsAtLeast: new(4.9), AfterSecondsAtMost: new(5.0), SurvivedSeconds: new(4.7), SurvivedOf: &result.Count{Got: 2, Of: 2},
					KeepaliveHelps: new(false), LookedSeconds: 5,
					KeepaliveLadder: &result.Ladder{Rungs: []result.Rung{{Seconds: 4.7, Alive: 2}, {Seconds: 5, FIN: 13}}},
					RequestLadder:   &result.Ladder{Rungs: []result.Rung{{Seconds: 4.7, Alive: 1, Unknown: 1}, {Seconds: 5, FIN: 10, RST: 1, BlackHole: 2}}},
				},
				Identity: &result.Identity{
					Meta: result.Meta{Outcome: result.Measured, Samples: 1}, ClientLocal: "198.18.0.1:40000", ClientRemote: "198.18.0.7:8080",
					ServerLocal: "198.18.1.3:8080", ServerRemote: "198.18.0.1:40000", SourceTranslated: new(false), DestinationTranslated: new(true),
					Via: []string{"server: envoy", "via: 1.1 edge"},
				},
				Pipelining: &result.Pipelining{
					Meta: result.Meta{Outcome: result.Measured, Samples: 10, ElapsedSeconds: 1}, Verdict: result.PipeliningInOrder, Answered: &result.Count{Got: 4, Of: 4},
					PipelinedMicroseconds: &result.Distribution{Min: 100, P50: 200, P90: 300, P99: 400, Max: 500},
					SerialMicroseconds:    &result.Distribution{Min: 400, P50: 800, P90: 900, P99: 900, Max: 950},
				},
				Parallel: &result.Parallel{
					Meta: result.Meta{Outcome: result.Measured, Samples: 900, ElapsedSeconds: 11}, StoppedBy: "latency", Knee: new(2),
					SingleAgainMicroseconds: new(20400.0),
					Levels: []result.ParallelLevel{
						{Connections: 1, OfferedPerSecond: 35, RequestsPerSecond: 35, P50Microseconds: 20500, P99Microseconds: 23000},
						{Connections: 2, OfferedPerSecond: 70, RequestsPerSecond: 70, P50Microseconds: 20500, P99Microseconds: 24000},
						{Connections: 4, OfferedPerSecond: 140, RequestsPerSecond: 98, P50Microseconds: 310000, P99Microseconds: 600000},
					},
				},
				PathMTU: &result.PathMTU{
					Meta: result.Meta{Outcome: result.Measured, Samples: 3, ElapsedSeconds: 0.1}, BlackHole: new(false), Whole: &result.Count{Of: 3, Got: 3},
					SegmentBytes: new(1448), ReceivedSegmentBytes: new(1448),
				},
				Closing: &result.Closing{
					Meta: result.Meta{Outcome: result.Measured, Samples: 7, ElapsedSeconds: 2}, HalfClose: new(true), UnreadDataLost: new(false),
					Truncated: new(false), LingerSeconds: new(1.02),
				},
				HTTP2: &result.HTTP2{
					Meta: result.Meta{Outcome: result.Measured, Samples: 300, ElapsedSeconds: 9}, Supported: new(true), MaxConcurrentStreams: new(int64(100)),
					RequestMicroseconds: &result.Distribution{Min: 100, P50: 200, P90: 300, P99: 400, Max: 500}, Streams: new(8),
					ConcurrentMicroseconds: &result.Distribution{P50: 900}, ParallelMicroseconds: &result.Distribution{P50: 700},
					PingAnswered: new(true), PingMicroseconds: &result.Distribution{Min: 50, P50: 60, P90: 60, P99: 60, Max: 60},
					GoAwayCode: "NO_ERROR", GoAwayAfterRequests: new(1000), GoAwayAfterSeconds: new(8.5), RequestsAtLeast: new(1000),
				},
				Backlog: &result.Backlog{
					Meta: result.Meta{Outcome: result.Measured, Samples: 60, ElapsedSeconds: 3}, Port: new(8080), InUse: new(0), InUsePeak: new(129),
					Cap: new(128), Somaxconn: new(4096), Overflows: new(int64(7)), OverflowsTotal: new(int64(90)), SynCookies: new(int64(2)),
				},
				TimeWait: &result.TimeWait{
					Meta: result.Meta{Outcome: result.Measured, Samples: 6}, Holder: result.SideServer,
					Scenarios: map[string]result.Side{"clientFirst": result.SideClient, "serverAfterClose": result.SideServer},
					Seconds:   new(60.0), Ports: new(28232), ConnectionsPerSecondCeiling: new(470.5), ConnectionsPerSecondSmooth: new(235.25),
				},
			},
		},
		"windows.txt": {
			Version: result.Version, Target: target, ElapsedSeconds: 9.5,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 6, Requests: 72, BytesSent: 9100, BytesReceived: 3_000_000},
			Measurements: result.Measurements{
				SlowStart: &result.SlowStart{
					Meta: result.Meta{Outcome: result.Measured, Samples: 13, ElapsedSeconds: 5.5}, Sender: result.SideServer,
					InitialWindowSegments: new(10.0), SegmentBytes: new(1448), RoundTripMicroseconds: new(20147.0), Bytes: new(int64(150_000)),
					ColdRounds: new(4), WarmRounds: new(1),
					ColdMicroseconds: &result.Distribution{Min: 82000, P50: 84000, P90: 90000, P99: 93000, Max: 93000},
					WarmMicroseconds: &result.Distribution{Min: 20900, P50: 21000, P90: 22000, P99: 24000, Max: 24000},
					WarmSegments:     new(104.0), AfterIdleSegments: new(10.0), IdleSeconds: new(1.12), WindowLostAfterIdle: new(true),
				},
				SmallWrites: &result.SmallWrites{
					Meta: result.Meta{Outcome: result.Measured, Samples: 24, ElapsedSeconds: 2.4}, Side: result.SideServer,
					StallMicroseconds: new(43960.0), Segments: new(2),
					DelayedMicroseconds: &result.Distribution{Min: 43000, P50: 44000, P90: 44100, P99: 44200, Max: 44200},
					QuickMicroseconds:   &result.Distribution{Min: 35, P50: 40, P90: 50, P99: 60, Max: 60},
				},
			},
		},
		"windows-kept.txt": {
			Version: result.Version, Target: target, ElapsedSeconds: 9.5,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 6, Requests: 72, BytesSent: 9100, BytesReceived: 3_000_000},
			Measurements: result.Measurements{
				SlowStart: &result.SlowStart{
					Meta: result.Meta{Outcome: result.Measured, Samples: 13, ElapsedSeconds: 5.5}, Sender: result.SideServer,
					InitialWindowSegments: new(10.0), SegmentBytes: new(1448), RoundTripMicroseconds: new(20147.0), Bytes: new(int64(150_000)),
					WarmSegments: new(104.0), AfterIdleSegments: new(103.0), IdleSeconds: new(1.12), WindowLostAfterIdle: new(false),
				},
				SmallWrites: &result.SmallWrites{
					Meta: result.Meta{Outcome: result.Measured, Samples: 24, ElapsedSeconds: 2.4}, Side: result.SideNone,
					StallMicroseconds: new(0.0), Segments: new(1),
				},
			},
		},
		"websocket.txt": {
			Version: result.Version, Target: webSocket, ElapsedSeconds: 29.5,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 96, Requests: 66, BytesSent: 12_400, BytesReceived: 8_900},
			Measurements: result.Measurements{
				WebSocket: &result.WebSocket{
					Meta:     result.Meta{Outcome: result.Measured, Samples: 55, ElapsedSeconds: 20.1},
					Upgraded: new(true), Status: new(101), Subprotocol: "chat", Extensions: []string{"permessage-deflate"},
					HandshakeMicroseconds: &result.Distribution{Min: 139, P50: 158, P90: 198, P99: 213, Max: 213, P50Low: new(144.0), P50High: new(193.0)},
					Echo:                  new(true), EchoMicroseconds: &result.Distribution{Min: 89, P50: 144, P90: 279, P99: 552, Max: 552}, FullDuplex: new(true),
					Pong: new(true), PongMicroseconds: &result.Distribution{Min: 90, P50: 144, P90: 235, P99: 424, Max: 424},
					CloseHandshake: new(true), CloseStatus: new(1000), ServerMessages: new(12), ServerPings: new(3),
					Idle: &result.Idle{
						Meta: result.Meta{Outcome: result.Measured, Samples: 36, ElapsedSeconds: 12}, Cut: new(true), How: result.CutFIN,
						AfterSecondsAtLeast: new(4.9), AfterSecondsAtMost: new(5.0), SurvivedSeconds: new(4.7), SurvivedOf: &result.Count{Got: 2, Of: 2},
						KeepaliveHelps: new(false), PingHelps: new(true), LookedSeconds: 5,
						KeepaliveLadder: &result.Ladder{Rungs: []result.Rung{{Seconds: 4.7, Alive: 2}, {Seconds: 5, FIN: 13}}},
						RequestLadder:   &result.Ladder{Rungs: []result.Rung{{Seconds: 4.7, Alive: 2}, {Seconds: 5, FIN: 13}}},
					},
				},
				Push: &result.Push{
					Meta: result.Meta{Outcome: result.Measured, Samples: 58, ElapsedSeconds: 24},
					Polling: &result.PushWay{
						Meta: result.Meta{Outcome: result.Measured, Samples: 10}, Path: "/poll", Messages: 9, Requests: 10, Connections: 1, BytesPerMessage: new(451.1),
						DelayMicroseconds:  &result.Distribution{Min: 217_000, P50: 466_000, P90: 470_000, P99: 470_000, Max: 470_000},
						AnswerMicroseconds: &result.Distribution{Min: 193, P50: 237, P90: 434, P99: 749, Max: 749}, LookedSeconds: new(6.75),
					},
					LongPolling: &result.PushWay{Meta: result.Meta{Outcome: result.Unsupported, Cause: "no path was named for it"}},
					Streaming: &result.PushWay{
						Meta: result.Meta{Outcome: result.Measured, Samples: 34}, Path: "/events", Messages: 34, Requests: 2, Connections: 2, BytesPerMessage: new(98.0),
						GapMicroseconds: &result.Distribution{Min: 1, P50: 20, P90: 100_000, P99: 1_000_000, Max: 1_000_000},
						Buffered:        new(true), Together: &result.Count{Got: 29, Of: 32}, CutAfterSeconds: new(4.02), CutBy: result.CutRST, LookedSeconds: new(4.02),
					},
					WebSocket: &result.PushWay{
						Meta: result.Meta{Outcome: result.Measured, Samples: 14}, Path: "/ws", Messages: 14, Requests: 1, Connections: 1, BytesPerMessage: new(77.0),
						Buffered: new(false), Together: &result.Count{Got: 0, Of: 13}, LookedSeconds: new(7.5), Missing: "the delays: the messages do not tell when they are made",
					},
				},
			},
		},
		"websocket-refused.txt": {
			Version: result.Version, Target: webSocket, ElapsedSeconds: 3.5,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 1, Requests: 1, BytesSent: 200, BytesReceived: 90}, Statuses: map[string]int{"403": 1},
			Measurements: result.Measurements{
				WebSocket: &result.WebSocket{
					Meta:     result.Meta{Outcome: result.Unsupported, Cause: "the opening handshake was answered with status 403 instead of 101"},
					Upgraded: new(false), Status: new(403),
				},
				Push: &result.Push{
					Meta:      result.Meta{Outcome: result.Unsupported, Cause: "the opening handshake was answered with status 403 instead of 101"},
					Polling:   &result.PushWay{Meta: result.Meta{Outcome: result.Unsupported, Cause: "the target is one of WebSocket; give an http:// or https:// URL"}},
					WebSocket: &result.PushWay{Meta: result.Meta{Outcome: result.Unsupported, Cause: "the opening handshake was answered with status 403 instead of 101"}},
				},
			},
		},
		"websocket-lacking.txt": {
			Version: result.Version, Target: webSocket, ElapsedSeconds: 12.5,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 12, Requests: 13, BytesSent: 3000, BytesReceived: 2000},
			Measurements: result.Measurements{
				WebSocket: &result.WebSocket{
					Meta:     result.Meta{Outcome: result.Measured, Samples: 12, ElapsedSeconds: 12.1},
					Upgraded: new(true), Status: new(101), Pong: new(false), PongAltered: new(true), MessageCloseStatus: new(1003), CloseHandshake: new(false),
					FullDuplex: new(false), ServerMessages: new(0), ServerPings: new(0),
					Idle: &result.Idle{Meta: result.Meta{Outcome: result.Skipped, Cause: "there was less than 500ms to let connections fall silent for"}},
				},
			},
		},
		"failed.txt": {
			Version: result.Version, Target: target, ElapsedSeconds: 0.1,
			Host:  result.Host{Kernel: "6.18.44"},
			Spent: result.Spent{Connections: 3}, Statuses: map[string]int{"200": 4, "503": 1},
			Measurements: result.Measurements{
				DNS: &result.DNS{
					Meta: result.Meta{
						Outcome: result.Failed, Errors: 3, ElapsedSeconds: 6,
						Cause: "3 errors in a row, the last: the name server 10.96.0.10:53 answered SERVFAIL for api.bank.example.",
					},
					QueriesPerName: new(4), Queries: new(12), Lost: new(0), Negative: new(0), Rejected: new(12), Truncated: new(0), Ignored: new(3),
					Servers: []string{"10.96.0.10", "10.96.0.11"}, Ndots: new(1), TimeoutSeconds: new(5), Attempts: new(2),
				},
				Handshake: &result.Handshake{
					Meta: result.Meta{Outcome: result.Failed, Errors: 3, Cause: "3 errors in a row, the last: connect: connection refused"},
					TLS:  &result.TLS{Version: "TLS 1.2", ResumptionOffered: new(false), CertificateExpires: "2027-01-31T00:00:00Z"},
				},
				Reuse: &result.Reuse{
					Meta: result.Meta{Outcome: result.Failed, Cause: "not finished: stopped by SIGTERM", Samples: 4, ElapsedSeconds: 0.05},
					Kept: new(false), RequestsPerConnection: new(1), RequestsAtLeast: new(1), CloseCause: result.CloseHTTP10,
				},
				Idle: &result.Idle{
					Meta: result.Meta{Outcome: result.Measured, Samples: 30, ElapsedSeconds: 10}, Cut: new(false),
					SurvivedSeconds: new(9.7), SurvivedOf: &result.Count{Got: 2, Of: 2}, LookedSeconds: 9.7,
				},
				Identity: &result.Identity{
					Meta: result.Meta{Outcome: result.Measured, Samples: 1}, ClientLocal: "198.18.0.1:40000", ClientRemote: "198.18.0.7:8080",
				},
				Pipelining: &result.Pipelining{
					Meta: result.Meta{Outcome: result.Measured, Samples: 1, ElapsedSeconds: 1}, Verdict: result.PipeliningOutOfOrder, Answered: &result.Count{Got: 1, Of: 4},
				},
				Parallel: &result.Parallel{
					Meta: result.Meta{Outcome: result.Measured, Samples: 70, ElapsedSeconds: 3}, StoppedBy: "status 503",
					Levels: []result.ParallelLevel{{Connections: 1, OfferedPerSecond: 35, RequestsPerSecond: 35, P50Microseconds: 20500, P99Microseconds: 23000, Errors: 1}},
				},
				PathMTU: &result.PathMTU{
					Meta: result.Meta{Outcome: result.Measured, Samples: 6, ElapsedSeconds: 9}, BlackHole: new(true), Whole: &result.Count{Of: 3},
					ClampedWhole: &result.Count{Of: 3, Got: 3}, ClampedSegmentBytes: new(524), InTLSHandshake: new(true),
				},
				Closing: &result.Closing{
					Meta: result.Meta{Outcome: result.Measured, Samples: 7, ElapsedSeconds: 2}, HalfClose: new(false), UnreadDataLost: new(true), Truncated: new(true),
				},
				HTTP2: &result.HTTP2{
					Meta:      result.Meta{Outcome: result.Unsupported, Cause: "the server did not agree on HTTP/2 by ALPN; it chose \"\""},
					Supported: new(false),
				},
				Backlog: &result.Backlog{
					Meta: result.Meta{Outcome: result.Measured, Samples: 60, ElapsedSeconds: 3}, Port: new(8080), InUse: new(0), InUsePeak: new(0),
					Cap: new(4096), Somaxconn: new(4096), Overflows: new(int64(0)), OverflowsTotal: new(int64(0)),
				},
				SlowStart: &result.SlowStart{
					Meta: result.Meta{Outcome: result.Measured, Samples: 5, ElapsedSeconds: 1}, Sender: result.SideServer,
					InitialWindowSegments: new(10.0), SegmentBytes: new(1448), Missing: "whether the window is lost after idling: no time",
				},
				SmallWrites: &result.SmallWrites{
					Meta: result.Meta{Outcome: result.Unsupported, Cause: "the server ends a connection too early for it"},
				},
				TimeWait: &result.TimeWait{Meta: result.Meta{Outcome: result.Skipped, Cause: "the time limit is reached before it began"}},
			},
		},
	}
}

func TestGolden(t *testing.T) {
	for name, r := range results() {
		t.Run(name, func(t *testing.T) {
			var text bytes.Buffer
			if err := report.Write(&text, r); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name)
			if *update {
				if err := os.WriteFile(path, text.Bytes(), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(text.Bytes(), want) {
				t.Errorf("got\n%s\nwant\n%s", &text, want)
			}
		})
	}
}
