package nstest

import (
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// LinkOptions say what a link does to the packets that it carries. The zero value carries all of them, at once.
type LinkOptions struct {
	// Delay is how long a packet takes, each way: half of the round trip.
	Delay time.Duration
	// BitsPerSecond is the rate of the line, each way, in bits of IP packets; 0 is no limit.
	BitsPerSecond int64
	// QueueBytes bounds what waits for its turn where there is a rate; what does not fit is dropped. 0 is 256 KiB.
	QueueBytes int
	// LossProbability, from 0 to 1, is the chance of each packet to be lost.
	LossProbability float64
	// ReorderProbability is the chance of each packet to come ReorderDelay later than it would, behind others.
	ReorderProbability float64
	ReorderDelay       time.Duration
	// Seed chooses among the random fates. With the same seed the n-th packet of a direction has the same fate.
	Seed uint64
	// MTUBytes is the MTU of the two devices; 0 is 1500. It cannot be changed later.
	MTUBytes int
	// PathMTUBytes drops larger packets without a word, a black hole for path MTU discovery (RFC 2923); 0 drops none.
	PathMTUBytes int
	// BlackHole drops all packets of a direction without a word.
	BlackHole Direction
	// DropSYNs drops the first so many SYNs of each connection. A SYN-ACK is not one.
	DropSYNs int
	// Drop, unless nil, drops the packets that it is true for. It sees each packet once, in the order sent, on one thread;
	// it must not block, nor call the link. What it has written may be read once Change has set it to nil.
	Drop func(Packet) bool
	// Middlebox forgets TCP flows. It stands half way: an answer of its own comes after Delay, there and back.
	Middlebox Middlebox
}

func (o *LinkOptions) queueBytes() int {
	if o.QueueBytes > 0 {
		return o.QueueBytes
	}
	return 256 << 10
}

func (o *LinkOptions) mtuBytes() int {
	if o.MTUBytes > 0 {
		return o.MTUBytes
	}
	return 1500
}

// Counts say what became of the packets that were sent one way.
type Counts struct {
	// Carried includes those that came late because of ReorderProbability, which Reordered counts.
	Carried, Reordered int
	// Lost by chance, QueueDropped by a full queue, TooBig for PathMTUBytes, BlackHoled, SYNsDropped by DropSYNs, Dropped
	// by Drop, Refused by the middlebox because their flow was forgotten.
	Lost, QueueDropped, TooBig, BlackHoled, SYNsDropped, Dropped, Refused int
	// MadeUp are the packets of the middlebox's own, in the direction in which it sent them.
	MadeUp int
}

// Link is a pair of namespaces joined not by a cable but by a program, which does to packets what LinkOptions say.
type Link struct {
	*Pair
	// devices is where the packets of a direction come from: the client's, then the server's.
	devices [2]int
	wake    int

	mutex     sync.Mutex
	options   LinkOptions
	paths     [2]path
	table     flowTable
	flight    flight
	counts    [2]Counts
	forgotten int
	stopped   bool
}

// NewLink makes a pair of namespaces with a link between them, and removes it when the test ends. Packets arrive late by
// the time that the machine needs to run a thread, some 50 µs when it is idle, and never early.
func NewLink(t *testing.T, options LinkOptions) *Link {
	t.Helper()
	l := &Link{Pair: newNamespaces(t)}
	for i, namespace := range []string{l.client, l.server} {
		l.devices[i] = openTUN(t, namespace)
		// The queue between the kernel and the link's program holds a burst, also where the program has to wait for its turn.
		ip(t, "-n", namespace, "link", "set", interfaceName, "mtu", strconv.Itoa(options.mtuBytes()), "txqueuelen", "10000")
	}
	l.start(t)
	// The link comes up as a plain one, so that what the options do begins with the test.
	l.configureAddresses(t)
	l.mutex.Lock()
	defer l.mutex.Unlock()
	l.paths = [2]path{newPath(options.Seed, ToServer), newPath(options.Seed, ToClient)}
	l.table = newFlowTable(options.Seed)
	l.counts = [2]Counts{}
	l.options = options
	return l
}

func (l *Link) start(t *testing.T) {
	t.Helper()
	wake, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	l.wake = wake
	l.paths = [2]path{newPath(0, ToServer), newPath(0, ToClient)}
	l.table = newFlowTable(0)
	ended := make(chan error, 1)
	go func() { ended <- l.carry() }()
	t.Cleanup(func() {
		l.mutex.Lock()
		l.stopped = true
		l.mutex.Unlock()
		l.poke()
		if err := <-ended; err != nil {
			t.Errorf("the link between the namespaces broke: %v", err)
		}
		_ = unix.Close(wake)
	})
}

// Change changes what the link does from now on. Packets under way arrive as it was decided when they were sent.
func (l *Link) Change(change func(*LinkOptions)) {
	l.mutex.Lock()
	change(&l.options)
	// The next look at the table finds out when it is due.
	l.table.due = time.Now()
	l.mutex.Unlock()
	l.poke()
}

// SetLoss changes LossProbability.
func (l *Link) SetLoss(probability float64) {
	l.Change(func(o *LinkOptions) { o.LossProbability = probability })
}

// SetDelay changes Delay.
func (l *Link) SetDelay(delay time.Duration) {
	l.Change(func(o *LinkOptions) { o.Delay = delay })
}

// BlackHole drops all packets of a direction from now on; direction 0 ends it.
func (l *Link) BlackHole(direction Direction) {
	l.Change(func(o *LinkOptions) { o.BlackHole = direction })
}

// BlackHoleAfter does so after a time, unless the test has ended by then.
func (l *Link) BlackHoleAfter(t *testing.T, after time.Duration, direction Direction) {
	t.Helper()
	timer := time.AfterFunc(after, func() { l.BlackHole(direction) })
	t.Cleanup(func() { timer.Stop() })
}

// Forget makes the middlebox forget the flows that have been idle for at least this long, as Middlebox.Forgets says, and
// counts them.
func (l *Link) Forget(idle time.Duration) int {
	l.mutex.Lock()
	now := time.Now()
	forgotten, packets := l.table.forget(&l.options, now.Add(-idle))
	l.forgotten += forgotten
	l.sendMadeUp(packets, now)
	l.mutex.Unlock()
	l.poke()
	return forgotten
}

// Forgotten is how many flows the middlebox has forgotten.
func (l *Link) Forgotten() int {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.forgotten
}

// Counts tells what became of the packets of one direction, ToServer or ToClient.
func (l *Link) Counts(direction Direction) Counts {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.counts[direction.index()]
}

// poke makes the link's thread look at what has changed.
func (l *Link) poke() {
	// A full counter wakes the thread too.
	_, _ = unix.Write(l.wake, binary.NativeEndian.AppendUint64(nil, 1))
}

// carry runs until the link is stopped.
func (l *Link) carry() error {
	// Never unlocked: the thread ends with the goroutine, and its timer slack with it.
	runtime.LockOSThread()
	// By default the kernel may wake a thread 50 µs late, to save power (prctl(2), PR_SET_TIMERSLACK).
	if err := unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("ask for exact timers: %w", err)
	}
	polled := []unix.PollFd{
		{Fd: int32(l.devices[0]), Events: unix.POLLIN}, //nolint:gosec // file descriptors are small
		{Fd: int32(l.devices[1]), Events: unix.POLLIN}, //nolint:gosec // as above
		{Fd: int32(l.wake), Events: unix.POLLIN},       //nolint:gosec // as above
	}
	buffer := make([]byte, 1<<16)
	for {
		timeout, stopped := l.untilNext(time.Now())
		if stopped {
			return nil
		}
		// Not Go's own timers and poller: these wait in whole milliseconds.
		if _, err := unix.Ppoll(polled, timeout, nil); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("poll: %w", err)
		}
		// The counter of the wake-ups is emptied; nothing there is nothing wrong.
		_, _ = unix.Read(l.wake, buffer)
		for _, direction := range []Direction{ToServer, ToClient} {
			if err := l.receive(direction, buffer); err != nil {
				return err
			}
		}
		if err := l.deliver(); err != nil {
			return err
		}
	}
}

// untilNext is how long there is nothing to do unless a packet comes; nil is for ever.
func (l *Link) untilNext(now time.Time) (timeout *unix.Timespec, stopped bool) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	next, some := l.flight.next()
	if due := l.table.due; !due.IsZero() && (!some || due.Before(next)) {
		next, some = due, true
	}
	if !some {
		return nil, l.stopped
	}
	return new(unix.NsecToTimespec(int64(max(0, next.Sub(now))))), l.stopped
}

// receive takes what the device of a direction has to send, up to a burst, so that arrivals are not held up.
func (l *Link) receive(direction Direction, buffer []byte) error {
	const burst = 64
	for range burst {
		length, err := unix.Read(l.devices[direction.index()], buffer)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return nil
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("read a packet: %w", err)
		}
		if packet, ok := parse(direction, append([]byte(nil), buffer[:length]...)); ok {
			l.mutex.Lock()
			l.take(packet, time.Now())
			l.mutex.Unlock()
		}
	}
	return nil
}

// take decides about a packet that an end has sent now.
func (l *Link) take(p Packet, now time.Time) {
	o, counts := &l.options, &l.counts[p.Direction.index()]
	switch {
	case o.BlackHole&p.Direction != 0:
		counts.BlackHoled++
		return
	case o.PathMTUBytes > 0 && len(p.Data) > o.PathMTUBytes:
		counts.TooBig++
		return
	case o.Drop != nil && o.Drop(p):
		counts.Dropped++
		return
	}
	if p.IsTCP() {
		l.expire(now)
		switch verdict, answer := l.table.see(o, p, now); verdict {
		case dropSYN:
			counts.SYNsDropped++
			return
		case refuse:
			counts.Refused++
			if answer != nil {
				l.sendMadeUp([]madeUp{{p.Direction.opposite(), answer}}, now)
			}
			return
		}
	}
	arrival, fate := l.paths[p.Direction.index()].send(o, now, len(p.Data))
	switch fate {
	case lost:
		counts.Lost++
		return
	case overflowed:
		counts.QueueDropped++
		return
	case carriedLate:
		counts.Reordered++
	}
	counts.Carried++
	l.flight.add(p.Direction, p.Data, arrival)
}

func (l *Link) expire(now time.Time) {
	forgotten, packets := l.table.expire(&l.options, now)
	l.forgotten += forgotten
	l.sendMadeUp(packets, now)
}

func (l *Link) sendMadeUp(packets []madeUp, now time.Time) {
	for _, made := range packets {
		l.counts[made.direction.index()].MadeUp++
		l.flight.add(made.direction, made.data, now.Add(l.options.Delay))
	}
}

// deliver hands over what has arrived.
func (l *Link) deliver() error {
	for {
		now := time.Now()
		l.mutex.Lock()
		l.expire(now)
		arrived, some := l.flight.land(now)
		l.mutex.Unlock()
		if !some {
			return nil
		}
		if _, err := unix.Write(l.devices[arrived.direction.opposite().index()], arrived.data); err != nil {
			return fmt.Errorf("hand over a packet of %d bytes: %w", len(arrived.data), err)
		}
	}
}
