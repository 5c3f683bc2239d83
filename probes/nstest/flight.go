package nstest

import (
	"container/heap"
	"time"
)

// flight is the packets under way, the next to arrive first.
type flight struct {
	packets departures
	sent    uint64
}

type departure struct {
	arrival   time.Time
	number    uint64
	direction Direction
	data      []byte
}

func (f *flight) add(direction Direction, data []byte, arrival time.Time) {
	f.sent++
	heap.Push(&f.packets, departure{arrival: arrival, number: f.sent, direction: direction, data: data})
}

// next is when the next packet arrives; false if none is under way.
func (f *flight) next() (time.Time, bool) {
	if len(f.packets) == 0 {
		return time.Time{}, false
	}
	return f.packets[0].arrival, true
}

// land takes out the next packet that has arrived by now.
func (f *flight) land(now time.Time) (departure, bool) {
	if arrival, some := f.next(); !some || arrival.After(now) {
		return departure{}, false
	}
	return heap.Pop(&f.packets).(departure), true
}

// departures is a heap by time of arrival; packets that arrive together keep the order in which they were sent.
type departures []departure

func (d departures) Len() int      { return len(d) }
func (d departures) Swap(i, j int) { d[i], d[j] = d[j], d[i] }
func (d departures) Less(i, j int) bool {
	if d[i].arrival.Equal(d[j].arrival) {
		return d[i].number < d[j].number
	}
	return d[i].arrival.Before(d[j].arrival)
}

func (d *departures) Push(x any) { *d = append(*d, x.(departure)) }

func (d *departures) Pop() any {
	last := (*d)[len(*d)-1]
	(*d)[len(*d)-1] = departure{}
	*d = (*d)[:len(*d)-1]
	return last
}
