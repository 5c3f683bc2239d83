package observer

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/procnet"
	"github.com/connpolicy/connpolicy/probes/result"
	"github.com/connpolicy/connpolicy/probes/sockdiag"
)

// life is one connection of a history that a test makes up.
type life struct {
	cookie        uint64
	opened, ended time.Duration
	// here: this side closed it, and it goes through TIME_WAIT. told: when its end is told.
	here bool
	told time.Duration
}

func (l life) tuple() tuple {
	t := tuple{localPort: uint16(33000 + l.cookie%25000), remotePort: 80}
	binary.BigEndian.PutUint32(t.remote[12:], 0xc6120007)
	binary.BigEndian.PutUint64(t.local[8:], l.cookie/25000)
	t.remote[10], t.remote[11] = 0xff, 0xff
	return t
}

// history lets an observer look at random times, with lists that take their time, at connections that come and go
// meanwhile, and has their ends told late.
func history(random *rand.Rand, lives []life, tell bool, until time.Duration) *ledger {
	begin := time.Unix(1_000_000, 0)
	l := newLedger()
	census := time.Duration(0)
	told := 0
	for at := time.Duration(0); ; {
		last := at >= until
		seen := look{
			at: begin.Add(at), withInfo: true, withTimeWait: at >= census || last, endsTold: tell, endsComplete: tell, last: last,
			abortsKnown: true,
		}
		if seen.withTimeWait {
			census = at + time.Duration(2+random.IntN(20))*time.Second
		}
		takes := time.Duration(random.IntN(80)) * time.Millisecond
		for _, c := range lives {
			// Each socket has its turn at some time within the list.
			turn := at + time.Duration(random.Int64N(int64(takes)+1))
			switch {
			case c.opened <= turn && turn < c.ended:
				seen.sockets = append(seen.sockets, socket{tuple: c.tuple(), cookie: c.cookie, state: sockdiag.Established})
			case seen.withTimeWait && c.here && c.ended <= turn && turn < c.ended+timeWaitLength:
				// The kernel counts in ticks of 4 ms.
				age := (turn - c.ended).Truncate(4 * time.Millisecond)
				seen.remainders = append(seen.remainders, remainder{tuple: c.tuple(), timeWait: true, age: age})
			}
		}
		read := at + takes
		if last {
			read += toldWithin
		}
		var endings []ending
		if tell {
			for ; told < len(lives) && lives[told].told <= read; told++ {
				c := lives[told]
				gone := socket{tuple: c.tuple(), cookie: c.cookie, state: sockdiag.Close, told: true}
				gone.facts = facts{sent: 100, received: 50, exchanges: 1, established: true, surplus: 2, surplusKnown: true}
				endings = append(endings, ending{socket: gone, at: begin.Add(c.told)})
			}
		}
		l.apply(&seen, endings, &chosenPorts{PortRange: procnet.PortRange{Low: 32768, High: 60999}})
		if last {
			return l
		}
		at += time.Second + time.Duration(random.IntN(1000))*time.Millisecond
	}
}

// Each connection is counted once, whenever it came and went, as far as the kernel shows it at all.
func TestEachConnectionIsCountedOnce(t *testing.T) {
	for seed := range uint64(25) {
		for _, tell := range []bool{true, false} {
			t.Run(fmt.Sprintf("%d told %v", seed, tell), func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 7))
				const until = 100 * time.Second
				var lives []life
				// What is there before the first look is not counted as opened, nor what comes in its midst exactly: none of
				// those here.
				opened, here := int64(0), int64(0)
				at := 200 * time.Millisecond
				for cookie := uint64(1); at < until-2*time.Second; cookie++ {
					c := life{cookie: cookie, opened: at, here: !tell || random.IntN(3) > 0}
					lasts := time.Duration(random.Int64N(int64(10*time.Second))) >> random.IntN(12)
					c.ended = min(c.opened+lasts, until-time.Second)
					c.told = c.ended + late(random)
					lives = append(lives, c)
					opened++
					if c.here {
						here++
					}
					at += time.Duration(random.Int64N(int64(20 * time.Millisecond)))
				}
				for cookie := range uint64(200) { // what ended before the observer came, up to the last moment
					ended := -time.Duration(cookie) * 20 * time.Millisecond
					c := life{cookie: 1_000_000 + cookie, opened: ended - time.Second, ended: ended, here: true}
					c.told = c.ended + late(random)
					lives = append(lives, c)
				}
				sortByTold(lives)
				l := history(random, lives, tell, until)
				g := l.outgoing[netip.MustParseAddrPort("198.18.0.7:80")]
				if g.total.opened != opened || g.total.closed != opened || g.total.closedHere != here || g.now.open != 0 {
					t.Errorf("opened %d, ended %d, of them here %d, open %d; want %d, %d, %d, 0",
						g.total.opened, g.total.closed, g.total.closedHere, g.now.open, opened, opened, here)
				}
				// How those ended is not known that a census counted before their end was told.
				if e := g.total.ends; e != (result.Ends{Orderly: e.Orderly}) || e.Orderly > opened || tell != (e.Orderly > opened*9/10) || !tell && e.Orderly > 0 {
					t.Errorf("of %d ended %+v are known", opened, e)
				}
				if l.opened() != opened || len(l.connections) > 100 {
					t.Errorf("%d opened in all, %d connections are kept", l.opened(), len(l.connections))
				}
			})
		}
	}
}

// late is how late an end is told: mostly at once, sometimes after a census that had to do without.
func late(random *rand.Rand) time.Duration {
	if random.IntN(20) == 0 {
		return time.Duration(random.IntN(900)) * time.Millisecond
	}
	return time.Duration(random.IntN(50)) * time.Millisecond
}

func sortByTold(lives []life) {
	for i := 1; i < len(lives); i++ {
		for j := i; j > 0 && lives[j].told < lives[j-1].told; j-- {
			lives[j], lives[j-1] = lives[j-1], lives[j]
		}
	}
}

// The side that opened a connection is told by the kernel's figures where the port misleads.
func TestSideOfAConnection(t *testing.T) {
	for _, c := range []struct {
		facts       facts
		open, ended side
	}{
		{facts{surplus: 1, surplusKnown: true}, sideHere, sideUnknown}, // SYN; or FIN of an accepted one
		{facts{surplus: 0, surplusKnown: true}, sidePeer, sidePeer},
		{facts{surplus: 2, surplusKnown: true}, sideUnknown, sideHere}, // SYN and FIN
		{facts{surplus: -7, surplusKnown: true}, sideUnknown, sideUnknown},
		{facts{}, sideUnknown, sideUnknown},
	} {
		if c.facts.sideWhileOpen() != c.open || c.facts.sideAtEnd() != c.ended {
			t.Errorf("%+v: %v while open, %v at its end", c.facts, c.facts.sideWhileOpen(), c.facts.sideAtEnd())
		}
	}
}

// A remainder on a port that the kernel would not have chosen, and that nobody listens on, is of no known side.
func TestTimeWaitOfUnknownSide(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	l := newLedger()
	of := func(port uint16) remainder {
		return remainder{tuple: tuple{localPort: port, remotePort: 40000}, timeWait: true, age: 30 * time.Second}
	}
	seen := look{
		at: begin, withTimeWait: true, listening: map[uint16]bool{8080: true},
		remainders: []remainder{of(8080), of(443), of(40001)},
	}
	l.apply(&seen, nil, &chosenPorts{PortRange: procnet.PortRange{Low: 32768, High: 60999}})
	if l.timeWaitUnknown != 1 || len(l.outgoing) != 1 || len(l.accepted) != 1 {
		t.Errorf("%d unknown, %d destinations, %d ports accepted", l.timeWaitUnknown, len(l.outgoing), len(l.accepted))
	}
	// The listener closes. What it accepted stays what it was.
	seen.at, seen.listening = begin.Add(20*time.Second), nil
	l.apply(&seen, nil, &chosenPorts{PortRange: procnet.PortRange{Low: 100, High: 60999}})
	if held := l.outgoing[netip.AddrPortFrom(netip.IPv6Unspecified(), 40000)].ports.held; held != 2 {
		t.Errorf("%d ports are held, want those of 443 and 40001 now that the kernel chooses both", held)
	}
}

// Keepalive is known from the last look at which no other timer hid it.
func TestKeepaliveBehindOtherTimers(t *testing.T) {
	begin := time.Unix(1_000_000, 0)
	l := newLedger()
	address := netip.MustParseAddrPort("198.18.0.7:80")
	want := []result.Keepalive{{Unknown: 1}, {Armed: 1}, {Armed: 1}, {Armed: 1}, {NotArmed: 1}}
	timers := []sockdiag.Timer{
		sockdiag.TimerRetransmit, sockdiag.TimerKeepalive, sockdiag.TimerProbe0, sockdiag.TimerRetransmit, sockdiag.TimerNone,
	}
	for i, timer := range timers {
		c := life{cookie: 1}
		seen := look{at: begin.Add(time.Duration(i) * time.Second)}
		seen.sockets = []socket{{tuple: c.tuple(), cookie: 1, state: sockdiag.Established, timer: timer}}
		l.apply(&seen, nil, nil)
		if got := l.outgoing[address].now.keepalive; got != want[i] {
			t.Errorf("after timer %d: %+v, want %+v", timer, got, want[i])
		}
	}
	if l.outgoing[address].total.zeroWindow != 1 {
		t.Errorf("%d looks at a closed window, want 1", l.outgoing[address].total.zeroWindow)
	}
}
