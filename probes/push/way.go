package push

import (
	"context"
	"errors"
	"hash/fnv"
	"io"
	"net/http"
	"time"

	"github.com/gobwas/ws"
	"golang.org/x/sys/unix"

	"github.com/connpolicy/connpolicy/probes/budget"
	"github.com/connpolicy/connpolicy/probes/exchange"
	"github.com/connpolicy/connpolicy/probes/http1"
	"github.com/connpolicy/connpolicy/probes/idle"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/tcpconn"
	"github.com/connpolicy/connpolicy/probes/websocket"
)

const (
	// pollEvery is the pause of a poller, shorter where there is no time for pollsAtLeast.
	pollEvery    = time.Second
	pollsAtLeast = 10
	// enoughNews end polling, whose answers are all alike.
	enoughNews = 30
	// streams are how often a stream that was cut is opened again.
	streams = 3
	// spare is for what comes late on a busy machine.
	spare = 200 * time.Millisecond
)

// way measures one way until the end.
type way struct {
	*tally
	asked websocket.Asked
	path  string
	end   time.Time
}

// over says whether an error is the end of the time of this way.
func (w *way) over(err error) bool {
	return (errors.Is(err, tcpconn.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)) && !time.Now().Before(w.end)
}

// turn waits for a turn, and says whether there was one within the time of this way.
func (w *way) turn(ctx context.Context, connect bool) bool {
	err := w.peer.Turn(ctx, connect)
	if err != nil && !w.ran(err) {
		w.course.Stop = err
	}
	return err == nil
}

// ran says whether the end of this way's own time is the reason of a stop.
func (w *way) ran(err error) bool {
	return errors.Is(err, budget.ErrStopped) && errors.Is(err, context.DeadlineExceeded)
}

// poll asks again and again, with a pause, whether there is news.
func (w *way) poll(ctx context.Context) string {
	return w.repeat(ctx, min(pollEvery, time.Until(w.end)/pollsAtLeast))
}

// longPoll asks again as soon as there was an answer, which waits for news.
func (w *way) longPoll(ctx context.Context) string { return w.repeat(ctx, 0) }

// repeat makes the same request until the end. Its answers are news where they differ from the one before. It returns why
// the way is not offered, if that is seen.
func (w *way) repeat(ctx context.Context, pause time.Duration) string {
	var kept *exchange.Connection
	defer func() {
		if kept != nil {
			kept.Close()
		}
	}()
	var last uint64
	for len(w.arrivals) < enoughNews && w.turn(ctx, kept == nil) {
		begin := time.Now()
		answer, err := w.request(ctx, &kept)
		if w.over(err) {
			break
		}
		w.note(err)
		if err == nil {
			if answer.Status >= http.StatusMultipleChoices && answer.Status != http.StatusNotModified {
				return (&refusal{answer.Status}).Error()
			}
			w.answers = append(w.answers, microseconds(time.Since(begin)))
			// To a poller the first answer is no news, but what was there before.
			if news := answer.bytes > 0 && answer.sum != last && (len(w.answers) > 1 || pause == 0); news {
				w.arrived(answer.text, arrival{at: answer.at, first: len(w.arrivals) == 0})
			}
			if answer.bytes > 0 {
				last = answer.sum
			}
		}
		if pause > 0 && !w.rest(ctx, begin.Add(pause)) {
			break
		}
	}
	w.looked = time.Since(w.course.Began)
	return ""
}

// rest waits until a time, and says whether there is time left behind it.
func (w *way) rest(ctx context.Context, until time.Time) bool {
	if !until.Before(w.end) {
		return false
	}
	err := w.peer.Pause(ctx, max(0, time.Until(until)))
	if err != nil && !errors.Is(err, budget.ErrSeconds) && !w.ran(err) {
		w.course.Stop = err
	}
	return err == nil
}

// answer is a whole response.
type answer struct {
	http1.Response
	text  []byte // its beginning
	bytes int
	sum   uint64 // of the whole
	at    time.Time
}

// request makes one, on the connection that is kept or on a new one.
func (w *way) request(ctx context.Context, kept **exchange.Connection) (answer, error) {
	if *kept == nil {
		connection, err := w.peer.Connect(ctx)
		if err != nil {
			return answer{}, err
		}
		*kept = connection
	}
	a, err := w.read(ctx, *kept)
	if err != nil || !a.Persistent {
		(*kept).Close()
		*kept = nil
	}
	return a, err
}

func (w *way) read(ctx context.Context, connection *exchange.Connection) (answer, error) {
	response, body, err := get(ctx, connection, w.asked, w.path)
	if err != nil {
		return answer{}, err
	}
	a := answer{Response: response}
	hash := fnv.New64a()
	for {
		piece, err := body.Next(ctx)
		if errors.Is(err, io.EOF) {
			a.sum, a.at = hash.Sum64(), time.Now()
			return a, nil
		}
		if err != nil {
			return answer{}, err
		}
		// A hash takes all that it is given.
		_, _ = hash.Write(piece)
		a.bytes += len(piece)
		a.text = append(a.text, piece[:min(len(piece), keptBytes-len(a.text))]...)
	}
}

// stream reads one that goes on, and opens it again when it is cut.
func (w *way) stream(ctx context.Context) string {
	for range streams {
		if !w.turn(ctx, true) {
			break
		}
		refused, err := w.follow(ctx)
		if refused != "" {
			w.note(nil)
			return refused
		}
		if w.ended(err) {
			break
		}
	}
	return ""
}

// follow reads one stream until the time is over or it is cut.
func (w *way) follow(ctx context.Context) (refused string, err error) {
	connection, err := w.peer.Connect(ctx)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	response, body, err := get(ctx, connection, w.asked, w.path)
	if err != nil {
		return "", err
	}
	if response.Status >= http.StatusMultipleChoices {
		return (&refusal{response.Status}).Error(), nil
	}
	if response.ContentType != eventStream && body.Sized() {
		return "the request was answered as a whole and not by a stream", nil
	}
	var split splitter = &records{}
	if response.ContentType == eventStream {
		split = &events{}
	}
	return "", w.watch(ctx, connection, func(ctx context.Context, took func([]byte)) error {
		piece, err := body.Next(ctx)
		if err != nil {
			return err
		}
		for _, message := range split.add(piece) {
			took(message)
		}
		return nil
	})
}

// listen does the same for the messages of a WebSocket connection.
func (w *way) listen(ctx context.Context) string {
	for range streams {
		if !w.turn(ctx, true) {
			break
		}
		refused, err := w.hear(ctx)
		if refused != nil {
			// An answer all the same.
			w.note(nil)
			return refused.Error()
		}
		if w.ended(err) {
			break
		}
	}
	return ""
}

// ended records how a stream ended, and says whether that was the end of the measurement.
func (w *way) ended(err error) bool {
	if errors.Is(err, errOver) {
		w.note(nil)
		return true
	}
	if w.over(err) {
		return true
	}
	w.note(err)
	return false
}

func (w *way) hear(ctx context.Context) (refused *websocket.Refusal, err error) {
	connection, err := w.peer.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer connection.Close()
	asked := w.asked
	asked.Target = w.path
	s, err := websocket.Open(ctx, connection, asked, false)
	if errors.As(err, &refused) {
		return refused, nil
	}
	if err != nil {
		return nil, err
	}
	return nil, w.watch(ctx, connection, func(ctx context.Context, took func([]byte)) error {
		message, err := s.Receive(ctx)
		if err == nil && message.Kind == ws.OpClose {
			err = io.EOF
		}
		if err == nil && message.Kind.IsData() {
			took(message.Payload)
		}
		return err
	})
}

// watch takes down messages until the time is over, which is its error, or the stream is cut, which is none.
func (w *way) watch(ctx context.Context, connection *exchange.Connection, next func(ctx context.Context, took func([]byte)) error) error {
	w.streams = true
	opened := time.Now()
	last := opened
	first := true
	// Time is left to ask whether the other side is still there.
	reading, cancel := context.WithDeadline(ctx, w.end.Add(-idle.VanishedWithin-spare))
	defer cancel()
	late := false
	connection.OnArrival(func() {
		info, err := connection.Info()
		age := info.LastDataReceivedMilliseconds
		late = err == nil && age != nil && time.Duration(*age)*time.Millisecond > lateBy
	})
	before, stop := len(w.arrivals), watchPauses()
	var err error
	for err == nil {
		err = next(reading, func(text []byte) {
			last = time.Now()
			w.arrived(text, arrival{at: last, first: first, late: late})
			first = false
		})
	}
	connection.OnArrival(nil)
	markLate(w.arrivals[before:], stop())
	how := cutBy(err)
	if errors.Is(err, tcpconn.ErrTimeout) && idle.Vanished(ctx, connection) {
		w.looked = max(w.looked, time.Since(opened))
		w.cut(last.Sub(opened), result.CutBlackHole)
		return errOver
	}
	lasted := time.Since(opened)
	w.looked = max(w.looked, lasted)
	switch {
	case errors.Is(err, tcpconn.ErrTimeout), errors.Is(err, http1.ErrBodyTooLarge):
		return errOver
	case how == "":
		return err
	}
	w.cut(lasted, how)
	return nil
}

// errOver: as much was read as there is time for, or as may be.
var errOver = errors.New("the stream was watched to the end")

// cutBy names the end of a stream by the other side, empty if it is none.
func cutBy(err error) result.IdleCut {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, http1.ErrCutOff):
		return result.CutFIN
	case exchange.WasReset(err):
		return result.CutRST
	case errors.Is(err, unix.ETIMEDOUT):
		return result.CutBlackHole
	}
	return ""
}
