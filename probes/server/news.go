package server

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// How often news may be made.
const (
	defaultEvery = time.Second
	leastEvery   = 10 * time.Millisecond
	mostEvery    = time.Hour
)

// news are made at whole multiples of a time, so that all who ask hear of the same.
type news struct{ every time.Duration }

// newest is when the last news before a moment were made.
func (n news) newest(now time.Time) time.Time { return now.Truncate(n.every) }

// text of the news that were made at a time.
func (n news) text(made time.Time) string {
	return fmt.Sprintf(`{"id": %d, "time": %q}`, made.UnixMilli()/n.every.Milliseconds(), made.UTC().Format(time.RFC3339Nano))
}

// next waits for news that are made after a time. It is not ok if the context ends before.
func (n news) next(ctx context.Context, after time.Time) (made time.Time, ok bool) {
	made = n.newest(after).Add(n.every)
	timer := time.NewTimer(time.Until(made))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return time.Time{}, false
	case <-timer.C:
		return made, true
	}
}

// newsOf reads the query. asked: it says how often news are to be made.
func newsOf(request *http.Request) (n news, asked bool, err error) {
	text := request.URL.Query().Get("every")
	if text == "" {
		return news{defaultEvery}, false, nil
	}
	every, err := time.ParseDuration(text)
	if err != nil || every < leastEvery || every > mostEvery {
		return news{}, false, fmt.Errorf("every is a time from %s to %s, such as 250ms, not %q", leastEvery, mostEvery, text)
	}
	return news{every.Truncate(time.Millisecond)}, true, nil
}

// tell serves news in one of the ways.
func tell(way func(http.ResponseWriter, *http.Request, news)) http.HandlerFunc {
	return func(response http.ResponseWriter, request *http.Request) {
		n, _, err := newsOf(request)
		if err != nil {
			http.Error(response, err.Error(), http.StatusBadRequest)
			return
		}
		response.Header().Set("Cache-Control", "no-store")
		way(response, request, n)
	}
}

func poll(response http.ResponseWriter, _ *http.Request, n news) {
	write(response, n.text(n.newest(time.Now())))
}

func longPoll(response http.ResponseWriter, request *http.Request, n news) {
	if made, ok := n.next(request.Context(), time.Now()); ok {
		write(response, n.text(made))
	}
}

func write(response http.ResponseWriter, text string) {
	response.Header().Set("Content-Type", "application/json")
	// A client that went away needs no answer.
	_, _ = fmt.Fprintln(response, text) //nolint:gosec // a time and a number, and no page
}

func stream(response http.ResponseWriter, request *http.Request, n news) {
	response.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(response)
	// The header goes first, so that the client knows at once that this is a stream.
	if err := out.Flush(); err != nil {
		return
	}
	for made, ok := n.next(request.Context(), time.Now()); ok; made, ok = n.next(request.Context(), made) {
		if _, err := fmt.Fprintf(response, "data: %s\n\n", n.text(made)); err != nil { //nolint:gosec // a time and a number, and no page
			return
		}
		if err := out.Flush(); err != nil {
			return
		}
	}
}
