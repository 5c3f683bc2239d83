// Package load is a client that opens a new connection for every request, at a fixed rate, and closes it first. Every
// connection leaves TIME_WAIT behind on this side and holds a local port for a minute longer, so that a rate above
// ports ÷ 60 s runs out of ports.
//
// The loop is open: requests are due at fixed times, whatever became of those before, as the requests of many independent
// users are. Each of the threads is one of the operating system's and has one request under way.
package load

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/target"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
)

const (
	// DefaultTimeout is shorter than a second, so that a stop is quick.
	DefaultTimeout = 800 * time.Millisecond
	// maximumLate is how far the threads may fall behind before requests that are due are given up and counted.
	maximumLate = time.Second
	// resolveEvery is the pause between attempts to resolve the target's name.
	resolveEvery = time.Second
	logEvery     = 10 * time.Second
)

// What a load can be asked for, far beyond what a machine can do, and so that periods are neither zero nor overflow.
const (
	minimumRate    = 0.001
	maximumRate    = 1_000_000
	maximumThreads = 10_000
)

// Config says what load to make.
type Config struct {
	Target target.Target
	// RequestsPerSecond of all threads together.
	RequestsPerSecond float64
	Threads           int
	// Timeout bounds one request with its connect. A stop waits for those that are under way.
	Timeout   time.Duration
	UserAgent string
	Log       *slog.Logger
}

// Load is a running load. It counts what it does.
type Load struct {
	config  Config
	request []byte
	count   *count
}

// New returns a load that has not begun.
func New(config Config) (*Load, error) {
	if config.Target.Protocol != target.HTTP {
		return nil, errors.New("the load speaks HTTP; give a target http://…")
	}
	rate := config.RequestsPerSecond
	if math.IsNaN(rate) || rate < minimumRate || rate > maximumRate || config.Threads < 1 || config.Threads > maximumThreads {
		return nil, fmt.Errorf("the rate must be %g to %g per second, the number of threads 1 to %d", minimumRate, float64(maximumRate), maximumThreads)
	}
	if config.Timeout <= 0 {
		return nil, fmt.Errorf("the timeout must be above 0, not %v", config.Timeout)
	}
	request := http1.Request{
		Method:    "GET",
		Host:      config.Target.HostHeader,
		Target:    config.Target.RequestTarget,
		UserAgent: config.UserAgent,
	}
	return &Load{config: config, request: request.Bytes(), count: newCount(time.Now())}, nil
}

// Run makes the load until the context ends.
func (l *Load) Run(ctx context.Context) error {
	remote, err := l.resolve(ctx)
	if err != nil {
		return err
	}
	l.config.Log.Info("the load begins", "target", l.config.Target.URL, "address", remote.String(),
		"requestsPerSecond", l.config.RequestsPerSecond, "threads", l.config.Threads)
	period := time.Duration(float64(l.config.Threads) / l.config.RequestsPerSecond * float64(time.Second))
	begin := time.Now()
	var threads sync.WaitGroup
	for i := range l.config.Threads {
		first := begin.Add(period * time.Duration(i) / time.Duration(l.config.Threads))
		threads.Go(func() { l.thread(ctx, remote, first, period) })
	}
	threads.Go(func() { l.logProgress(ctx) })
	threads.Wait()
	return nil
}

// resolve waits for the target's name to resolve: in a cluster, client and server often start together.
func (l *Load) resolve(ctx context.Context) (netip.AddrPort, error) {
	for {
		resolved, err := l.config.Target.Resolve(ctx, target.AnyFamily)
		if err == nil {
			return resolved.Remotes[0], nil
		}
		l.count.failed("resolve", err)
		l.config.Log.Warn("the target does not resolve yet", "error", err)
		select {
		case <-ctx.Done():
			return netip.AddrPort{}, fmt.Errorf("stopped before the target resolved: %w", err)
		case <-time.After(resolveEvery):
		}
	}
}

func (l *Load) thread(ctx context.Context, remote netip.AddrPort, due time.Time, period time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		if late := time.Since(due); late > maximumLate {
			skipped := late / period
			due = due.Add(skipped * period)
			l.count.notSent(int(skipped))
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(due)):
		}
		// Asked for apart, because a thread that is late finds both cases ready and select takes either.
		if ctx.Err() != nil {
			return
		}
		due = due.Add(period)
		l.transaction(ctx, remote)
	}
}

// transaction makes one request on a connection of its own.
func (l *Load) transaction(running context.Context, remote netip.AddrPort) {
	ctx, cancel := context.WithTimeout(running, l.config.Timeout)
	defer cancel()
	connection, took, err := tcpconn.Dialer{SearchAllPorts: true}.Connect(ctx, remote)
	if err != nil {
		l.failed(running, err)
		return
	}
	l.count.connected(took)
	err = connection.Write(ctx, l.request)
	if err == nil {
		_, err = http1.NewReader(connection).ReadResponse(ctx, "GET")
	}
	connection.Close()
	l.count.closed(time.Now())
	if err != nil {
		l.failed(running, err)
		return
	}
	l.count.answered()
}

// failed counts an error, unless it is our own stop that cut the request off.
func (l *Load) failed(running context.Context, err error) {
	if running.Err() == nil {
		l.count.failed(cause(err), err)
	}
}

func (l *Load) logProgress(ctx context.Context) {
	ticker := time.NewTicker(logEvery)
	defer ticker.Stop()
	before := l.count.snapshot(time.Now())
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			after := l.count.snapshot(now)
			l.config.Log.Info("the last ten seconds",
				"connectionsPerSecond", perSecond(after.connections-before.connections),
				"errorsPerSecond", perSecond(after.allErrors()-before.allErrors()),
				"notSentPerSecond", perSecond(after.notSent-before.notSent),
				"portsInUse", after.portsInUse,
				"lastError", after.lastError)
			before = after
		}
	}
}

func perSecond(number int) float64 { return float64(number) / logEvery.Seconds() }
