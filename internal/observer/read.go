package observer

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Read reads the metrics of the observer at podIP and port. It fails if nothing answers, or not an observer.
func Read(ctx context.Context, client *http.Client, podIP string, port int) (result.Observation, error) {
	url := "http://" + net.JoinHostPort(podIP, strconv.Itoa(port)) + "/metrics"
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return result.Observation{}, fmt.Errorf("ask the observer: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return result.Observation{}, fmt.Errorf("reach the observer: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return result.Observation{}, fmt.Errorf("the observer at %s answered %s", url, response.Status)
	}
	observation, err := Parse(response.Body)
	if err != nil {
		return result.Observation{}, fmt.Errorf("read the observer at %s: %w", url, err)
	}
	observation.At = time.Now()
	return observation, nil
}
