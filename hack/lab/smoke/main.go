// Command smoke is the workload of the lab's own test: a small server, and a client that asks it by name.
package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "smoke:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 2 && arguments[0] == "serve":
		return serve(arguments[1])
	case len(arguments) == 2 && arguments[0] == "get":
		return get(arguments[1])
	}
	return fmt.Errorf("usage: smoke serve ADDRESS | smoke get URL")
}

// serve answers with the range of ephemeral ports in force where it runs, which a pod's sysctls set.
func serve(address string) error {
	const headerTimeout = 5 * time.Second
	server := &http.Server{Addr: address, ReadHeaderTimeout: headerTimeout, Handler: http.HandlerFunc(
		func(w http.ResponseWriter, _ *http.Request) {
			ports, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range")
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			if _, err := w.Write(ports); err != nil {
				fmt.Fprintln(os.Stderr, "smoke: answer:", err)
			}
		})}
	return server.ListenAndServe()
}

// get prints what the server answers. It asks anew for a while, since a Service takes a moment to reach its pods.
func get(url string) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	again := time.NewTicker(500 * time.Millisecond)
	defer again.Stop()
	for {
		err := getOnce(ctx, url)
		if err == nil || ctx.Err() != nil {
			return err
		}
		fmt.Fprintln(os.Stderr, "smoke: asking again:", err)
		select {
		case <-ctx.Done():
			return err
		case <-again.C:
		}
	}
}

func getOnce(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", response.Status, body)
	}
	_, err = os.Stdout.Write(body)
	return err
}
