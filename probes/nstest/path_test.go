package nstest

import (
	"slices"
	"testing"
	"time"
)

func fates(o LinkOptions, direction Direction, count int) []fate {
	p := newPath(o.Seed, direction)
	var all []fate
	for i := range count {
		_, f := p.send(&o, time.Unix(int64(i), 0), 1500)
		all = append(all, f)
	}
	return all
}

func count(all []fate, wanted fate) int {
	n := 0
	for _, f := range all {
		if f == wanted {
			n++
		}
	}
	return n
}

func TestTheSameSeedLosesTheSamePackets(t *testing.T) {
	o := LinkOptions{LossProbability: 0.1, Seed: 7}
	first := fates(o, ToServer, 10000)
	// Three standard deviations of the binomial distribution are 90.
	if n := count(first, lost); n < 910 || n > 1090 {
		t.Errorf("%d of 10000 packets lost at a probability of 0.1", n)
	}
	if !slices.Equal(first, fates(o, ToServer, 10000)) {
		t.Error("the same seed lost others")
	}
	if slices.Equal(first, fates(o, ToClient, 10000)) {
		t.Error("both ways lose the same packets")
	}
	o.ReorderProbability = 0.5
	for i, f := range fates(o, ToServer, 10000) {
		if (f == lost) != (first[i] == lost) {
			t.Fatal("reordering changed which packets are lost")
		}
	}
	o.Seed = 8
	if slices.Equal(first, fates(o, ToServer, 10000)) {
		t.Error("another seed lost the same")
	}
}

func TestALineSendsOnePacketAfterTheOther(t *testing.T) {
	o := LinkOptions{BitsPerSecond: 12_000_000, Delay: 10 * time.Millisecond, QueueBytes: 4500}
	p := newPath(0, ToServer)
	now := time.Unix(0, 0)
	// 1,500 bytes take a millisecond.
	for i := range 3 {
		arrival, f := p.send(&o, now, 1500)
		if want := now.Add(time.Duration(i+1)*time.Millisecond + o.Delay); f != carried || !arrival.Equal(want) {
			t.Errorf("packet %d: fate %d, arrives at %v, want %v", i, f, arrival, want)
		}
	}
	if _, f := p.send(&o, now, 1500); f != overflowed {
		t.Errorf("a packet that the queue has no room for: fate %d", f)
	}
	if _, f := p.send(&o, now.Add(time.Millisecond), 1500); f != carried {
		t.Errorf("a packet after the queue has sent one: fate %d", f)
	}
}

func TestPacketsArriveInOrderOfTime(t *testing.T) {
	var f flight
	at := time.Unix(0, 0)
	for _, packet := range []struct {
		name   string
		millis int
	}{{"third", 3}, {"first", 1}, {"second", 1}, {"fourth", 9}} {
		f.add(ToServer, []byte(packet.name), at.Add(time.Duration(packet.millis)*time.Millisecond))
	}
	var landed []string
	for {
		packet, some := f.land(at.Add(5 * time.Millisecond))
		if !some {
			break
		}
		landed = append(landed, string(packet.data))
	}
	if !slices.Equal(landed, []string{"first", "second", "third"}) {
		t.Errorf("landed %v", landed)
	}
}
