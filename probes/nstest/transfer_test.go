package nstest_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/connpolicy/connpolicy/probes/nstest"
	"github.com/connpolicy/connpolicy/probes/tcpinfo"
)

// transfer lets the server send that many bytes to the client, checks them, and gives the time and what the client's
// kernel says.
func transfer(t *testing.T, link *nstest.Link, payloadBytes int) (time.Duration, tcpinfo.Info) {
	t.Helper()
	content := make([]byte, payloadBytes)
	_, _ = rand.NewChaCha8([32]byte{}).Read(content)
	listener := link.Listen(t)
	nstest.Serve(t, listener, func(connection net.Conn) { _, _ = connection.Write(content) })
	connection, _ := connect(t, link.Pair, listener.Addr().String())
	if err := connection.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	hash := sha256.New()
	begin := time.Now()
	if _, err := io.Copy(hash, connection); err != nil {
		t.Fatal(err)
	}
	took := time.Since(begin)
	if [sha256.Size]byte(hash.Sum(nil)) != sha256.Sum256(content) {
		t.Error("the content has changed on the way")
	}
	return took, infoOf(t, connection)
}

func megabitsPerSecond(payloadBytes int, took time.Duration) float64 {
	return float64(payloadBytes) * 8 / took.Seconds() / 1e6
}

func TestTheRateIsHeld(t *testing.T) {
	const megabits, payloadBytes = 20, 5_000_000
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 5 * time.Millisecond, BitsPerSecond: megabits * 1e6})
	// Reno fills the queue, so that the line has something to send while the machine runs something else; BBR would take
	// the pause for a slower line.
	link.SysctlServer(t, "net.ipv4.tcp_congestion_control", "reno")
	best := 0.0
	for attempts := 0; attempts < 3 && best < 0.8*megabits; attempts++ {
		took, _ := transfer(t, link, payloadBytes)
		rate := megabitsPerSecond(payloadBytes, took)
		t.Logf("%.1f Mbit/s, %+v", rate, link.Counts(nstest.ToClient))
		if rate > megabits {
			t.Errorf("%.1f Mbit/s over a line of %d", rate, megabits)
		}
		best = max(best, rate)
	}
	if best < 0.8*megabits {
		t.Errorf("%.1f Mbit/s over a line of %d", best, megabits)
	}
}

func TestADelayAloneIsNoBottleneck(t *testing.T) {
	const payloadBytes = 50_000_000
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 10 * time.Millisecond})
	// What else runs on the machine may slow one transfer down, hardly three.
	best := 0.0
	for attempts := 0; attempts < 3 && best < 100; attempts++ {
		took, _ := transfer(t, link, payloadBytes)
		best = max(best, megabitsPerSecond(payloadBytes, took))
		t.Logf("%.0f Mbit/s, %+v", best, link.Counts(nstest.ToClient))
	}
	if best < 100 {
		t.Errorf("%.0f Mbit/s over a round trip of 20 ms", best)
	}
}

func TestReorderingIsSeenByTheReceiver(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{
		Delay: 2 * time.Millisecond, ReorderProbability: 0.05, ReorderDelay: 3 * time.Millisecond,
	})
	_, info := transfer(t, link, 2_000_000)
	if seen := info.OutOfOrderPackets; seen == nil || *seen == 0 {
		t.Errorf("the client saw %v packets out of order", seen)
	}
	if counts := link.Counts(nstest.ToClient); counts.Reordered == 0 || counts.Lost > 0 {
		t.Errorf("counted %+v", counts)
	}
}

func TestTCPGetsThroughLoss(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{Delay: 2 * time.Millisecond, LossProbability: 0.02, Seed: 1})
	transfer(t, link, 2_000_000)
	if counts := link.Counts(nstest.ToClient); counts.Lost < 10 {
		t.Errorf("lost %+v", counts)
	}
}

// Datagrams are not repeated, so that every one that does not come is one that the link counts.
func TestWhatIsLostIsCounted(t *testing.T) {
	const sent, probability = 1000, 0.2
	received := func(seed uint64) int {
		link := nstest.NewLink(t, nstest.LinkOptions{LossProbability: probability, Seed: seed})
		var server net.PacketConn
		var err error
		link.InServer(t, func() {
			var config net.ListenConfig
			server, err = config.ListenPacket(t.Context(), "udp", nstest.ServerAddress+":0")
		})
		if err != nil {
			t.Fatal(err)
		}
		var arrived atomic.Int64
		var reading sync.WaitGroup
		reading.Go(func() {
			for buffer := make([]byte, 100); ; arrived.Add(1) {
				if _, _, err := server.ReadFrom(buffer); err != nil {
					return
				}
			}
		})
		link.InClient(t, func() {
			var dialer net.Dialer
			client, err := dialer.DialContext(t.Context(), "udp", server.LocalAddr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = client.Close() }()
			for i := range sent {
				_, _ = fmt.Fprint(client, i)
				// The receiver's buffer holds some 250.
				if i%100 == 99 {
					waitForCarried(t, link, i+1, &arrived)
				}
			}
		})
		_ = server.Close()
		reading.Wait()
		counts := link.Counts(nstest.ToServer)
		if counts.Carried+counts.Lost != sent || counts.Lost < 140 || counts.Lost > 260 || int64(counts.Carried) != arrived.Load() {
			t.Errorf("of %d datagrams %d arrived: %+v", sent, arrived.Load(), counts)
		}
		return counts.Carried
	}
	if first, again := received(3), received(3); first != again {
		t.Errorf("with one seed %d arrived, then %d", first, again)
	}
}

// waitForCarried waits until the link has decided about so many packets, and what it carried has arrived.
func waitForCarried(t *testing.T, link *nstest.Link, packets int, arrived *atomic.Int64) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if counts := link.Counts(nstest.ToServer); counts.Carried+counts.Lost == packets && arrived.Load() == int64(counts.Carried) {
			return
		}
	}
	t.Errorf("of %d datagrams %d arrived: %+v", packets, arrived.Load(), link.Counts(nstest.ToServer))
}

func TestOnlySmallPacketsPassAPathMTUBlackHole(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{PathMTUBytes: 1000})
	listener := link.Listen(t)
	nstest.Serve(t, listener, func(connection net.Conn) { _, _ = io.Copy(connection, connection) })
	connection, _ := connect(t, link.Pair, listener.Addr().String())
	exchange(t, connection, 500)
	if _, err := connection.Write(make([]byte, 1400)); err != nil {
		t.Fatal(err)
	}
	staysSilent(t, connection)
	if counts := link.Counts(nstest.ToServer); counts.TooBig == 0 {
		t.Errorf("counted %+v", counts)
	}
}

func TestTheMTUOfTheDevicesBoundsTheSegments(t *testing.T) {
	link := nstest.NewLink(t, nstest.LinkOptions{MTUBytes: 1280})
	_, info := transfer(t, link, 100_000)
	// 20 bytes of IPv4 header and 20 of TCP's, and 12 of timestamps.
	if mss := info.ReceiveMSS; mss == nil || *mss != 1280-52 {
		t.Errorf("segments of %v bytes", mss)
	}
}

// exchange sends bytes to a server that sends them back, and waits for them.
func exchange(t *testing.T, connection net.Conn, payloadBytes int) {
	t.Helper()
	if _, err := connection.Write(make([]byte, payloadBytes)); err != nil {
		t.Fatal(err)
	}
	readAll(t, connection, payloadBytes)
}

func readAll(t *testing.T, connection net.Conn, payloadBytes int) {
	t.Helper()
	if err := connection.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(connection, make([]byte, payloadBytes)); err != nil {
		t.Fatal(err)
	}
}
