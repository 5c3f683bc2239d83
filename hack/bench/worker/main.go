// Command worker does in Go what the benchmark compares with the yardsticks, each as a process of its own as they are.
//
//	worker connect ADDRESS:PORT   opens connections by the probe's own dialer
//	worker measure ADDRESS:PORT   opens connections as the measurements do, which read tcp_info of each and book it
//	worker dial ADDRESS:PORT      opens connections by Go's own dialer
//	worker request ADDRESS:PORT   makes requests on one connection as the measurements of the probe do
//	worker dump                   lists all TCP sockets once, and prints how many there are
//
// All but the last answer each line of standard input, WARMUP MILLISECONDS, with a line as yardsticks/connect.c does.
package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/connpolicy/connpolicy/hack/bench/pin"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
	"github.com/connpolicy/connpolicy/probes/stats"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) == 1 && arguments[0] == "dump" {
		return dump()
	}
	if len(arguments) != 2 {
		return errors.New("usage: worker connect|measure|dial|request ADDRESS:PORT, or worker dump")
	}
	remote, err := netip.ParseAddrPort(arguments[1])
	if err != nil {
		return err
	}
	switch arguments[0] {
	case "connect":
		runtime.LockOSThread()
		return answerBlocks(connector(remote))
	case "measure":
		runtime.LockOSThread()
		return answerBlocks(measurer(remote))
	case "dial":
		return answerBlocks(dialer(remote))
	case "request":
		runtime.LockOSThread()
		// This thread alone: the rest of the runtime may be elsewhere.
		if err := pin.Thread(); err != nil {
			return err
		}
		return requestBlocks(remote)
	}
	return fmt.Errorf("%q is no work", arguments[0])
}

func dump() error {
	count := 0
	// Those that ss shows where nothing else is asked for.
	states := sockdiag.AllStates &^
		sockdiag.StateSet(sockdiag.Listen, sockdiag.Close, sockdiag.TimeWait, sockdiag.SynReceived, sockdiag.NewSynReceived)
	err := sockdiag.Dump(sockdiag.Query{States: states, WithInfo: true}, func(sockdiag.Socket) { count++ })
	if err != nil {
		return err
	}
	fmt.Println(count)
	return nil
}

// work is done once; it returns the part of its time that counts for the median.
type work func() (time.Duration, error)

// answerBlocks does the work for as long as each line of standard input asks.
func answerBlocks(once work) error {
	for {
		var warmup, milliseconds int
		_, err := fmt.Scan(&warmup, &milliseconds)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := block(once, warmup, time.Duration(milliseconds)*time.Millisecond); err != nil {
			return err
		}
	}
}

func block(once work, warmup int, length time.Duration) error {
	for range warmup {
		if _, err := once(); err != nil {
			return err
		}
	}
	var took []float64
	begin := time.Now()
	elapsed := time.Duration(0)
	for ; elapsed < length; elapsed = time.Since(begin) {
		one, err := once()
		if err != nil {
			return err
		}
		took = append(took, float64(one))
	}
	slices.Sort(took)
	fmt.Println(len(took), elapsed.Nanoseconds(), int64(stats.Quantile(took, 0.5)))
	return nil
}
