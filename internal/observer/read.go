package observer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Reading is what an observer told at one time.
type Reading struct {
	// Total holds what was counted since the observer began.
	Total result.Observation
	// Recent is the same with what was counted in about the last hour. Nil: the observer is of an older version, which does
	// not tell.
	Recent *result.Observation
}

// errNothingThere says that whatever answers serves nothing at the path.
var errNothingThere = errors.New("404 Not Found")

// Read reads the metrics of the observer at podIP and port. It fails if nothing answers, or not an observer, or if what it
// tells of the last hour cannot be read: with the totals in its place findings would come back that are long cured.
func Read(ctx context.Context, client *http.Client, podIP string, port int) (Reading, error) {
	url := "http://" + net.JoinHostPort(podIP, strconv.Itoa(port))
	total, err := get(ctx, client, url+result.PathMetrics)
	if err != nil {
		return Reading{}, err
	}
	recent, err := get(ctx, client, url+result.PathRecent)
	switch {
	case errors.Is(err, errNothingThere):
		return Reading{Total: total}, nil
	case err != nil:
		return Reading{}, err
	case recent.PeriodSeconds == nil:
		return Reading{}, fmt.Errorf("read the observer at %s: no metric %s", url+result.PathRecent, result.MetricPeriodSeconds)
	}
	return Reading{Total: total, Recent: &recent}, nil
}

func get(ctx context.Context, client *http.Client, url string) (result.Observation, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return result.Observation{}, fmt.Errorf("ask the observer: %w", err)
	}
	response, err := client.Do(request)
	if err != nil {
		return result.Observation{}, fmt.Errorf("reach the observer: %w", err)
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusNotFound:
		// Read to its end, the connection can be used again.
		_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, result.MaximumMetricsBytes))
		return result.Observation{}, fmt.Errorf("the observer at %s answered %w", url, errNothingThere)
	default:
		return result.Observation{}, fmt.Errorf("the observer at %s answered %s", url, response.Status)
	}
	observation, err := Parse(response.Body)
	if err != nil {
		return result.Observation{}, fmt.Errorf("read the observer at %s: %w", url, err)
	}
	observation.At = time.Now()
	return observation, nil
}
