package result

// PipeliningVerdict is what a server does with requests that arrive before it has answered the one before (RFC 9112
// section 9.3.2).
type PipeliningVerdict string

// The verdicts.
const (
	// PipeliningInOrder: all are answered, in order, and sooner than if they were sent one after the other.
	PipeliningInOrder PipeliningVerdict = "inOrder"
	// PipeliningSerial: all are answered, in order, but no sooner than if they were sent one after the other.
	PipeliningSerial PipeliningVerdict = "serial"
	// PipeliningClosed: the connection was closed or reset before all were answered.
	PipeliningClosed PipeliningVerdict = "closed"
	// PipeliningOutOfOrder: an answer belongs to another request.
	PipeliningOutOfOrder PipeliningVerdict = "outOfOrder"
	// PipeliningRefused: the later requests were answered with an error, or never.
	PipeliningRefused PipeliningVerdict = "refused"
)

// Pipelining is what becomes of several requests sent at once on one connection.
type Pipelining struct {
	Meta
	Verdict PipeliningVerdict `json:"verdict,omitempty"`
	// Answered of the requests sent at once.
	Answered *Count `json:"answered,omitempty"`
	// PipelinedMicroseconds is the time of the whole pipeline, SerialMicroseconds of the same requests one after the other.
	PipelinedMicroseconds *Distribution `json:"pipelinedMicroseconds,omitempty"`
	SerialMicroseconds    *Distribution `json:"serialMicroseconds,omitempty"`
}

// Closing is how a server behaves at the end of a connection.
type Closing struct {
	Meta
	// HalfClose says whether a request is answered after this end has closed its sending side (RFC 9293 section 3.6).
	HalfClose *bool `json:"halfClose,omitempty"`
	// UnreadDataLost says whether a response was destroyed by a reset because the server closed with unread data (RFC 9112
	// section 9.6; RFC 1122 section 4.2.2.13).
	UnreadDataLost *bool `json:"unreadDataLost,omitempty"`
	// LingerSeconds is how long the server goes on reading after it closed its side. Nil: it did not, or it was not seen.
	LingerSeconds *float64 `json:"lingerSeconds,omitempty"`
	// Truncated says whether a response ended before the length that it announced.
	Truncated *bool `json:"truncated,omitempty"`
}

// PathMTU is whether packets of full size arrive from the target. The same is asked for on connections on which this end
// allows it segments as long as its device does, and, where a response stalls, on others on which it allows short ones. The
// length of the target's segments is all that differs.
type PathMTU struct {
	Meta
	// BlackHole says whether the path swallows large packets on their way here without a word to their sender (RFC 2923
	// section 2.1): true if every response stalled on the connections as they are, with all that this end had sent
	// acknowledged, and every one arrived whole where segments were short; false if every one arrived on the connections as
	// they are. Nil: neither.
	BlackHole *bool `json:"blackHole,omitempty"`
	// Whole counts the responses that arrived whole on connections as they are, without a stall or in full segments;
	// ClampedWhole those where segments were short. Nil: none was asked for, or none came to an end.
	Whole        *Count `json:"whole,omitempty"`
	ClampedWhole *Count `json:"clampedWhole,omitempty"`
	// SegmentBytes is the most that a segment from the target may carry as the connections are: the MSS (RFC 9293 section
	// 3.7.1) without the options that each segment has. ClampedSegmentBytes is the same where segments are short.
	SegmentBytes        *int `json:"segmentBytes,omitempty"`
	ClampedSegmentBytes *int `json:"clampedSegmentBytes,omitempty"`
	// ReceivedSegmentBytes is what the longest segment carried of a response that arrived whole on a connection as it is.
	ReceivedSegmentBytes *int `json:"receivedSegmentBytes,omitempty"`
	// InTLSHandshake says whether a response stalled before it was asked for: the target's certificates did not arrive.
	InTLSHandshake *bool `json:"inTLSHandshake,omitempty"`
}

// WebSocket is whether WebSocket connections (RFC 6455) pass every hop, and how they behave.
type WebSocket struct {
	Meta
	// Upgraded says whether the opening handshake succeeded; Status is the HTTP status that answered it.
	Upgraded *bool `json:"upgraded,omitempty"`
	Status   *int  `json:"status,omitempty"`
	// HandshakeMicroseconds is the time of the opening handshake alone, without TCP and TLS.
	HandshakeMicroseconds *Distribution `json:"handshakeMicroseconds,omitempty"`
	// Subprotocol and Extensions that were agreed on.
	Subprotocol string   `json:"subprotocol,omitempty"`
	Extensions  []string `json:"extensions,omitempty"`
	// Echo says whether a text message came back. False: other messages came instead. Nil: no message came within the limit,
	// so the server need not echo.
	Echo *bool `json:"echo,omitempty"`
	// MessageCloseStatus is the status with which the server closed the connection because of the text message. Nil: it did
	// not, or gave none.
	MessageCloseStatus *int `json:"messageCloseStatus,omitempty"`
	// FullDuplex says whether a ping was answered in the middle of a message that this end had not finished, so that both
	// directions run independently. Nil: it could not be told; it can where messages are echoed.
	FullDuplex *bool `json:"fullDuplex,omitempty"`
	// EchoMicroseconds and PongMicroseconds are the times of a message and of a ping.
	EchoMicroseconds *Distribution `json:"echoMicroseconds,omitempty"`
	// Pong says whether pings are answered with their own data, as RFC 6455 sections 5.5.2 and 5.5.3 ask. PongAltered says, if
	// they are not, whether pongs came that had other data.
	Pong             *bool         `json:"pong,omitempty"`
	PongAltered      *bool         `json:"pongAltered,omitempty"`
	PongMicroseconds *Distribution `json:"pongMicroseconds,omitempty"`
	// CloseHandshake says whether a close frame was answered by one (RFC 6455 section 7.1.2), CloseStatus with what status.
	CloseHandshake *bool `json:"closeHandshake,omitempty"`
	CloseStatus    *int  `json:"closeStatus,omitempty"`
	// ServerMessages and ServerPings count what the server sent of its own accord on all connections. Where it does, the
	// silence that Idle speaks of is this end's alone.
	ServerMessages *int `json:"serverMessages,omitempty"`
	ServerPings    *int `json:"serverPings,omitempty"`
	// Idle is how long silence survives, within the budget of the run. Nil: not looked at.
	Idle *Idle `json:"idle,omitempty"`
}

// Push compares the ways to be told of news. A way that the target does not offer is unsupported.
type Push struct {
	Meta
	Polling     *PushWay `json:"polling,omitempty"`
	LongPolling *PushWay `json:"longPolling,omitempty"`
	Streaming   *PushWay `json:"streaming,omitempty"`
	WebSocket   *PushWay `json:"websocket,omitempty"`
}

// PushWay is one of them.
type PushWay struct {
	Meta
	// Path that was asked, with its query.
	Path string `json:"path,omitempty"`
	// DelayMicroseconds is the age of a message when it arrives, where the messages tell when they were made; as exact as the
	// clocks of both ends agree. Else the time between messages is all that is known, see GapMicroseconds.
	DelayMicroseconds *Distribution `json:"delayMicroseconds,omitempty"`
	GapMicroseconds   *Distribution `json:"gapMicroseconds,omitempty"`
	// AnswerMicroseconds is the time from a request to the end of its answer, of polling and long polling.
	AnswerMicroseconds *Distribution `json:"answerMicroseconds,omitempty"`
	// Messages received on so many Connections with so many Requests. An answer that is the same as the one before is none.
	Messages    int `json:"messages"`
	Connections int `json:"connections"`
	Requests    int `json:"requests"`
	// BytesPerMessage that crossed the wire in both directions, headers and framing included, those of TCP and IP not.
	BytesPerMessage *float64 `json:"bytesPerMessage,omitempty"`
	// Buffered says whether messages were held back and came in one go (a hop that buffers). Nil: it cannot be told, as of
	// messages that do not tell when they were made. Together counts, of the messages that were made apart from the one
	// before, those that arrived with it.
	Buffered *bool  `json:"buffered,omitempty"`
	Together *Count `json:"together,omitempty"`
	// CutAfterSeconds is when the first stream was cut, by CutBy. Nil: none was within LookedSeconds.
	CutAfterSeconds *float64 `json:"cutAfterSeconds,omitempty"`
	CutBy           IdleCut  `json:"cutBy,omitempty"`
	LookedSeconds   *float64 `json:"lookedSeconds,omitempty"`
	// Missing says which of the figures could not be had although the outcome is measured, and why.
	Missing string `json:"missing,omitempty"`
}

// HTTP2 is how the target speaks HTTP/2 (RFC 9113).
type HTTP2 struct {
	Meta
	// Supported says whether HTTP/2 was agreed on, by ALPN or by prior knowledge.
	Supported *bool `json:"supported,omitempty"`
	// MaxConcurrentStreams, InitialWindowBytes and MaxFrameBytes are the server's settings. Nil: it did not say.
	MaxConcurrentStreams *int64 `json:"maxConcurrentStreams,omitempty"`
	InitialWindowBytes   *int64 `json:"initialWindowBytes,omitempty"`
	MaxFrameBytes        *int64 `json:"maxFrameBytes,omitempty"`
	// RequestMicroseconds is the time of a request on a connection that is already there.
	RequestMicroseconds *Distribution `json:"requestMicroseconds,omitempty"`
	// ConcurrentMicroseconds is the time of Streams requests at once on one connection, ParallelMicroseconds of the same
	// number on as many connections, sampled in turn.
	Streams                *int          `json:"streams,omitempty"`
	ConcurrentMicroseconds *Distribution `json:"concurrentMicroseconds,omitempty"`
	ParallelMicroseconds   *Distribution `json:"parallelMicroseconds,omitempty"`
	// PingMicroseconds is the time of a PING frame. Nil: pings are not answered, or were not tried.
	PingMicroseconds *Distribution `json:"pingMicroseconds,omitempty"`
	PingAnswered     *bool         `json:"pingAnswered,omitempty"`
	// GoAway says how the server ended a connection, if it did while the probe looked: after so many requests, by the last
	// stream that it says to have taken, so many seconds, with which error code (RFC 9113 sections 6.8 and 7).
	GoAwayAfterRequests *int     `json:"goAwayAfterRequests,omitempty"`
	GoAwayAfterSeconds  *float64 `json:"goAwayAfterSeconds,omitempty"`
	GoAwayCode          string   `json:"goAwayCode,omitempty"`
	// RequestsAtLeast is the number of requests that one connection was seen to carry.
	RequestsAtLeast *int `json:"requestsAtLeast,omitempty"`
}

// Identity is the addresses of a connection as each end sees them.
type Identity struct {
	Meta
	// ClientLocal and ClientRemote are the probe's own view.
	ClientLocal  string `json:"clientLocal,omitempty"`
	ClientRemote string `json:"clientRemote,omitempty"`
	// ServerLocal and ServerRemote are the server's view, where it tells (`probe serve` does). Empty: it does not.
	ServerLocal  string `json:"serverLocal,omitempty"`
	ServerRemote string `json:"serverRemote,omitempty"`
	// SourceTranslated and DestinationTranslated say whether address translation is on the path.
	SourceTranslated      *bool `json:"sourceTranslated,omitempty"`
	DestinationTranslated *bool `json:"destinationTranslated,omitempty"`
	// Via are proxies that named themselves in a header: Via, Server, X-Envoy-*, Forwarded.
	Via []string `json:"via,omitempty"`
}

// Backlog is the listen queue of a port in this network namespace.
type Backlog struct {
	Meta
	// Port that listens, InUse the connections that wait to be accepted, Cap the length of the queue: the smaller of the
	// application's backlog and Somaxconn (listen(2)).
	Port      *int `json:"port,omitempty"`
	InUse     *int `json:"inUse,omitempty"`
	Cap       *int `json:"cap,omitempty"`
	Somaxconn *int `json:"somaxconn,omitempty"`
	// InUsePeak is the most that was seen while the probe looked.
	InUsePeak *int `json:"inUsePeak,omitempty"`
	// Overflows and Drops count, over the whole namespace, connections that found the queue full (ListenOverflows) and all
	// that were dropped at a listener (ListenDrops) while the probe looked; the totals since the namespace exists beside.
	Overflows      *int64 `json:"overflows,omitempty"`
	Drops          *int64 `json:"drops,omitempty"`
	OverflowsTotal *int64 `json:"overflowsTotal,omitempty"`
	DropsTotal     *int64 `json:"dropsTotal,omitempty"`
	// SynCookies counts the SYN cookies sent while the probe looked.
	SynCookies *int64 `json:"synCookies,omitempty"`
}
