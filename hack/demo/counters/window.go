package counters

import (
	"fmt"
	"time"
)

// Figures are what the clients counted between two moments.
type Figures struct {
	// Pods is the number of clients; Seconds the length of the window, the shortest of the clients'.
	Pods    int
	Seconds float64
	// Errors in the window, all clients together, and by cause.
	Errors      float64
	ErrorCauses map[string]float64
	// ErrorsPerSecond, ConnectionsPerSecond and NotSentPerSecond of all clients together.
	ErrorsPerSecond      float64
	ConnectionsPerSecond float64
	NotSentPerSecond     float64
	// PortsInUse is each client's own count at the end of the window, by pod.
	PortsInUse map[string]int
	// ConnectP50 and ConnectP99 are quantiles of the time of connect(), all clients together. Nil if there was none.
	ConnectP50, ConnectP99 *time.Duration
}

// Exhausted tells whether each client has met, since the first samples, the error of having no local port left.
func Exhausted(first, last map[string]Sample) bool {
	for pod, end := range last {
		if end.Errors[CauseNoPort] <= first[pod].Errors[CauseNoPort] {
			return false
		}
	}
	return len(last) > 0
}

// LastStart is when the client that started last did so. Zero if there is no client.
func LastStart(samples map[string]Sample) time.Time {
	var last time.Time
	for _, sample := range samples {
		started := time.UnixMicro(int64(sample.StartedSeconds * 1e6))
		if started.After(last) {
			last = started
		}
	}
	return last
}

// Between subtracts the first samples from the last ones. Both must be of the same clients, none of which may have
// started anew in between.
func Between(first, last map[string]Sample) (Figures, error) {
	if len(first) == 0 || len(first) != len(last) {
		return Figures{}, fmt.Errorf("the window begins with %d clients and ends with %d", len(first), len(last))
	}
	figures := Figures{Pods: len(last), ErrorCauses: map[string]float64{}, PortsInUse: map[string]int{}}
	var connect Histogram
	for pod, end := range last {
		begin, ok := first[pod]
		if !ok {
			return Figures{}, fmt.Errorf("the client %s was not there when the window began", pod)
		}
		if begin.StartedSeconds != end.StartedSeconds {
			return Figures{}, fmt.Errorf("the client %s started anew within the window", pod)
		}
		length := end.At.Sub(begin.At).Seconds()
		if length <= 0 {
			return Figures{}, fmt.Errorf("the window of the client %s has no length", pod)
		}
		if figures.Seconds == 0 || length < figures.Seconds {
			figures.Seconds = length
		}
		for cause, count := range end.Errors {
			added := count - begin.Errors[cause]
			figures.Errors += added
			figures.ErrorsPerSecond += added / length
			if added > 0 {
				figures.ErrorCauses[cause] += added
			}
		}
		figures.ConnectionsPerSecond += (end.Connections - begin.Connections) / length
		figures.NotSentPerSecond += (end.NotSent - begin.NotSent) / length
		figures.PortsInUse[pod] = end.PortsInUse
		connect = connect.plus(end.Connect.since(begin.Connect))
	}
	figures.ConnectP50, figures.ConnectP99 = connect.Quantile(0.50), connect.Quantile(0.99)
	return figures, nil
}
