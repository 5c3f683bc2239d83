package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"runtime"
	"sort"
	"strconv"
	"sync"
	"time"

	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"golang.org/x/sys/unix"
)

func main() {
	if os.Args[1] == "serve" {
		http.ListenAndServe(os.Args[2], http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "ok\n") }))
	}
	rate, _ := strconv.ParseFloat(os.Args[3], 64)
	threads := 8
	remote := netip.MustParseAddrPort(os.Args[2])
	var mu sync.Mutex
	var conns, missed int
	errs := map[string]int{}
	var times []time.Duration
	start := time.Now()
	req := []byte("GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: connpolicy-load\r\n\r\n")
	for t := range threads {
		go func() {
			runtime.LockOSThread()
			buf := make([]byte, 4096)
			period := time.Duration(float64(threads) / rate * 1e9)
			next := start.Add(time.Duration(t) * period / time.Duration(threads))
			for {
				if late := time.Since(next); late > time.Second {
					k := int(late / period)
					next = next.Add(time.Duration(k) * period)
					mu.Lock()
					missed += k
					mu.Unlock()
				}
				time.Sleep(time.Until(next))
				next = next.Add(period)
				ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
				b := time.Now()
				c, took, err := tcpconn.Connect(ctx, remote)
				fail := time.Since(b)
				if err == nil {
					err = c.Write(ctx, req)
					if err == nil {
						_, err = c.Read(ctx, buf)
					}
					c.Close()
				} else {
					took = fail
				}
				cancel()
				mu.Lock()
				if err != nil {
					var e unix.Errno
					if errors.As(err, &e) {
						errs[e.Error()]++
					} else {
						errs[err.Error()]++
					}
				} else {
					conns++
				}
				times = append(times, took)
				mu.Unlock()
			}
		}()
	}
	var last unix.Rusage
	for {
		time.Sleep(10 * time.Second)
		var ru unix.Rusage
		unix.Getrusage(unix.RUSAGE_SELF, &ru)
		mu.Lock()
		sort.Slice(times, func(i, j int) bool { return times[i] < times[j] })
		fmt.Printf("%4.0fs conn/s %.0f missed %d errs %v p50 %v p99 %v cpu sys %.2f user %.2f\n", time.Since(start).Seconds(), float64(conns)/10, missed, errs, times[len(times)/2], times[len(times)*99/100],
			float64(ru.Stime.Nano()-last.Stime.Nano())/1e10, float64(ru.Utime.Nano()-last.Utime.Nano())/1e10)
		conns, missed, errs, times = 0, 0, map[string]int{}, nil
		last = ru
		mu.Unlock()
	}
}
