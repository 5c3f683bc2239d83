// Package runner makes the measurements of one run of the probe, in order and within its limits.
package runner

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/dns"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/handshake"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/target"
	"github.com/connpolicy/connpolicy/probes/websocket"
)

// resolveTimeout bounds the resolution of the target's name.
const resolveTimeout = 5 * time.Second

// Config says what to measure, and how far the run may go.
type Config struct {
	Target target.Target
	Family target.Family
	Guard  target.Guard
	Limits budget.Limits
	// Measure names the measurements to make. None named: all that suit the protocol.
	Measure []string
	// Handshake says what is wanted of the handshakes.
	Handshake handshake.Options
	// Place says how names are resolved where the probe stands.
	Place dns.Place
	// TLS says what to trust and how to name oneself, and the name to expect. Nil: the system's authorities, the target's
	// host. It is only used for targets that speak TLS.
	TLS       *tls.Config
	UserAgent string
	// Subprotocols are offered in the opening handshake of WebSocket, the preferred first. None: no subprotocol is.
	Subprotocols []string
	// PushPaths are the paths, with their queries, at which the target tells news, by the names of the ways (push.Ways).
	// None: the path of the target is looked at.
	PushPaths map[string]string
	Proc      procnet.FS
	// Log is told what happens, for people who look on.
	Log func(format string, values ...any)
	// Progress is told when a measurement begins and every second from then on, from a goroutine of its own. Nil: nobody
	// looks on.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	// Measurement that is being made, which ends at End at the latest.
	Measurement string
	End         time.Time
	// Spent so far by the whole run.
	Spent result.Spent
}

// progressEvery is often enough for people, and seldom enough not to be seen in what is measured.
const progressEvery = time.Second

// Select returns the measurements of the given names, or all that suit the protocol if there are none.
func Select(names []string, protocol target.Protocol) ([]Measurement, error) {
	all := Measurements()
	for _, name := range names {
		if !slices.ContainsFunc(all, func(m Measurement) bool { return m.Name == name }) {
			return nil, fmt.Errorf("there is no measurement %q; `probe list` names them", name)
		}
	}
	return slices.DeleteFunc(all, func(m Measurement) bool {
		if len(names) == 0 {
			return m.OnlyNamed || !slices.Contains(m.protocols, protocol) || m.partOf[protocol] != ""
		}
		return !slices.Contains(names, m.Name)
	}), nil
}

// Run makes the measurements. It always returns a result: what could not be measured says why.
func Run(ctx context.Context, config Config) (result.Result, error) {
	if err := config.Limits.Validate(); err != nil {
		return result.Result{}, err
	}
	selected, err := Select(config.Measure, config.Target.Protocol)
	if err != nil {
		return result.Result{}, err
	}
	// The measurements time system calls: the goroutine stays on one thread, and with it in one network namespace.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	begin := time.Now()
	r := result.Result{
		Version: result.Version,
		Target:  result.Target{URL: config.Target.URL, Protocol: string(config.Target.Protocol)},
		Host:    host(config.Proc),
	}
	b := budget.New(config.Limits)
	remotes, outcome, err := locate(ctx, config)
	if err != nil {
		concludeAll(selected, result.Meta{Outcome: outcome, Cause: err.Error()}, &r.Measurements)
		// Why a name has no address is what its measurement tells.
		selected = slices.DeleteFunc(selected, func(m Measurement) bool { return outcome != result.Failed || !m.ofName })
		remotes = []netip.AddrPort{{}}
	} else {
		r.Target.Address, r.Target.Addresses = remotes[0].String(), named(remotes)
		config.Log("probing %s", remotes[0])
	}
	peer := exchange.NewPeer(exchange.Options{Remote: remotes[0], Request: request(config), TLS: security(config), Budget: b})
	measure(ctx, config, selected, peer, b, &r.Measurements)
	r.Spent = b.Spent()
	r.Statuses = b.Statuses()
	r.ElapsedSeconds = time.Since(begin).Seconds()
	return r, nil
}

func host(proc procnet.FS) result.Host {
	// A kernel that hides its release is named so rather than left out.
	kernel, err := proc.KernelRelease()
	if err != nil {
		kernel = "unknown"
	}
	return result.Host{Kernel: kernel, Sysctls: proc.Sysctls(procnet.ConnectionSysctls())}
}

// locate resolves the target and asks the guard. With an error it says what the outcome of all measurements is.
func locate(running context.Context, config Config) ([]netip.AddrPort, result.Outcome, error) {
	limit := min(resolveTimeout, time.Duration(config.Limits.Seconds)*time.Second)
	ctx, cancel := context.WithTimeout(running, limit)
	defer cancel()
	resolved, err := config.Target.Resolve(ctx, config.Family)
	if running.Err() != nil {
		return nil, result.Failed, fmt.Errorf("%w: %w", budget.ErrStopped, context.Cause(running))
	}
	if err != nil {
		return nil, result.Failed, err
	}
	if resolved.Unanswered != "" {
		config.Log("no name server answers for the %s addresses of %s; what it has of the others is probed", resolved.Unanswered, config.Target.Host)
	}
	if err := config.Guard.Check(resolved.Remotes[0].Addr()); err != nil {
		return nil, result.Skipped, err
	}
	return resolved.Remotes, "", nil
}

// named says which addresses a name has, if there are several.
func named(remotes []netip.AddrPort) []string {
	if len(remotes) < 2 {
		return nil
	}
	addresses := make([]string, len(remotes))
	for i, remote := range remotes {
		addresses[i] = remote.Addr().String()
	}
	return addresses
}

// request is what is asked over HTTP/1, nil if that is not spoken.
func request(config Config) *http1.Request {
	if config.Target.Protocol != target.HTTP && config.Target.Protocol != target.HTTPS {
		return nil
	}
	return &http1.Request{
		Method:    "GET",
		Host:      config.Target.HostHeader,
		Target:    config.Target.RequestTarget,
		UserAgent: config.UserAgent,
	}
}

// asked is what the opening handshake of WebSocket says.
func asked(config Config) websocket.Asked {
	return websocket.Asked{
		Host:         config.Target.HostHeader,
		Target:       config.Target.RequestTarget,
		UserAgent:    config.UserAgent,
		Subprotocols: config.Subprotocols,
	}
}

// security is the client's side of TLS for the target, nil if it speaks none.
func security(config Config) *tls.Config {
	if !config.Target.TLS {
		return nil
	}
	c := config.TLS.Clone()
	if c == nil {
		c = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if c.ServerName == "" {
		c.ServerName = config.Target.Host
	}
	c.NextProtos = []string{"http/1.1"}
	if config.Target.Protocol == target.HTTP2 || config.Target.Protocol == target.GRPC {
		c.NextProtos = []string{"h2"}
	}
	return c
}

func measure(ctx context.Context, config Config, selected []Measurement, peer *exchange.Peer, b *budget.Budget, into *result.Measurements) {
	weightLeft := 0
	for _, m := range selected {
		weightLeft += m.weight
	}
	for _, m := range selected {
		m.allow(b, config.Limits, float64(m.weight)/float64(weightLeft))
		weightLeft -= m.weight
		if !slices.Contains(m.protocols, config.Target.Protocol) {
			m.conclude(unsupported(m, config.Target.Protocol), into)
			continue
		}
		config.Log("%s: begins, at most until %s", m.Name, b.End().Format("15:04:05.000"))
		told := tell(config, m.Name, b)
		m.run(ctx, peer, config, into)
		told()
		config.Log("%s: ended; the run has spent %d connections and %d requests", m.Name, b.Spent().Connections, b.Spent().Requests)
	}
}

// tell tells of the progress of a measurement until what it returns is called.
func tell(config Config, measurement string, b *budget.Budget) (stop func()) {
	if config.Progress == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticks := time.NewTicker(progressEvery)
		defer ticks.Stop()
		for {
			config.Progress(Progress{measurement, b.End(), b.Spent()})
			select {
			case <-done:
				return
			case <-ticks.C:
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

func unsupported(m Measurement, protocol target.Protocol) result.Meta {
	names := make([]string, len(m.protocols))
	for i, p := range m.protocols {
		names[i] = string(p)
	}
	return result.Meta{
		Outcome: result.Unsupported,
		Cause:   fmt.Sprintf("it needs the protocol %s, the target was given as %s", strings.Join(names, " or "), protocol),
	}
}

func concludeAll(selected []Measurement, meta result.Meta, into *result.Measurements) {
	for _, m := range selected {
		m.conclude(meta, into)
	}
}

// conclude stores the outcome of a measurement that was not made.
func (m Measurement) conclude(meta result.Meta, into *result.Measurements) {
	for _, f := range result.Fields() {
		if f.Name == m.Name {
			f.Conclude(into, meta)
		}
	}
}

// Failed says whether a measurement of the result failed.
func Failed(r result.Result) bool {
	for _, meta := range r.Measurements.Outcomes() {
		if meta.Outcome == result.Failed {
			return true
		}
	}
	return false
}
