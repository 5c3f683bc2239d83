package observer

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"reflect"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/connpolicy/connpolicy/probes/result"
)

// pass lets time pass with a census every ten seconds, before each of which the connections change.
func pass(o *Observer, k *kernel, period time.Duration, change func()) {
	const between = 10 * time.Second
	for range int(period / between) {
		time.Sleep(between)
		k.age(between)
		change()
		o.lookAround()
	}
}

func nothing() {}

// number is the value of a sample; it is -1 if there is none.
func number(t *testing.T, samples map[string]string, name string) float64 {
	t.Helper()
	value, err := strconv.ParseFloat(samples[name], 64)
	if err != nil {
		return -1
	}
	return value
}

// What is over for an hour is not counted any more, although the totals hold it.
func TestRecentForgetsWhatIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.open(1, payments) // stays, so that the destination does
		o := newObserver(t, k)
		o.lookAround()
		const period, kernelCounter = "connpolicy_observer_period_seconds", `connpolicy_observer_kernel_counter_change{name="Tcp.ActiveOpens"}`
		opened, closedHere := of("destination_opened_total", payments), of("destination_closed_here_total", payments)

		pass(o, k, 20*time.Minute, func() { k.timeWait(3, payments, 5*time.Second) })
		recent := ask(o.Recent())
		check(t, recent, map[string]string{
			opened: "360", closedHere: "360", period: "1200", "connpolicy_observer_uptime_seconds": "1200", kernelCounter: "0",
		})
		check(t, scrape(t, o), map[string]string{opened: "360", period: "", kernelCounter: ""})

		// Half of what was counted is older than an hour after 70 minutes, give or take the ten minutes between two marks.
		pass(o, k, 50*time.Minute, nothing)
		half := number(t, ask(o.Recent()), opened)
		if half < 120 || half > 240 {
			t.Errorf("%v of 360 are counted as of late, 20 minutes of an hour", half)
		}
		pass(o, k, 20*time.Minute, nothing)
		recent = ask(o.Recent())
		check(t, recent, map[string]string{opened: "0", closedHere: "0", of("destination_open", payments): "1"})
		check(t, scrape(t, o), map[string]string{opened: "360", closedHere: "360"})

		// What comes now is found, whatever the totals are.
		pass(o, k, 10*time.Minute, func() { k.timeWait(1, payments, 5*time.Second) })
		check(t, ask(o.Recent()), map[string]string{opened: "60", closedHere: "60"})
		check(t, scrape(t, o), map[string]string{opened: "420"})
	})
}

// The period is an hour to 70 minutes at any time, and the memory bounded; after a time without lists of the sockets it is
// as long as it has to be, and as before an hour later.
func TestRecentPeriod(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		k.open(1, payments)
		o := newObserver(t, k)
		o.lookAround()
		within := func(least, most time.Duration) {
			t.Helper()
			for range 15 {
				pass(o, k, time.Minute, nothing)
				seen := number(t, ask(o.Recent()), "connpolicy_observer_period_seconds")
				if seen < least.Seconds() || seen > most.Seconds() {
					t.Errorf("%.0f s after the beginning the period is %.0f s", time.Since(o.began.at).Seconds(), seen)
				}
				if len(o.marks) > 7 || len(o.ledger.outgoing[k.sockets[0].Remote].past) > len(o.marks) {
					t.Errorf("%d marks, of the group %d", len(o.marks), len(o.ledger.outgoing[k.sockets[0].Remote].past))
				}
			}
		}
		pass(o, k, time.Hour, nothing)
		for range 8 {
			within(time.Hour, time.Hour+markEvery)
		}
		k.err = errors.New("interrupted")
		time.Sleep(3 * time.Hour)
		k.err = nil
		o.lookAround()
		within(3*time.Hour, 3*time.Hour+markEvery+15*time.Minute)
		pass(o, k, time.Hour-15*time.Minute, nothing)
		within(time.Hour, time.Hour+markEvery)
	})
}

// A destination that was forgotten and came again has counted all that it has since then, more or less than before.
func TestRecentOfAForgottenDestination(t *testing.T) {
	for _, again := range []int{5, 500} {
		synctest.Test(t, func(t *testing.T) {
			k := &kernel{}
			o := newObserver(t, k)
			o.lookAround()
			time.Sleep(10 * time.Second)
			k.timeWait(50, payments, 5*time.Second)
			pass(o, k, 90*time.Minute, nothing)
			if len(o.ledger.outgoing) != 0 {
				t.Fatal("the destination was not forgotten")
			}
			pass(o, k, 10*time.Second, func() { k.timeWait(again, payments, 5*time.Second) })
			pass(o, k, 20*time.Second, nothing)
			check(t, ask(o.Recent()), map[string]string{of("destination_opened_total", payments): strconv.Itoa(again)})
		})
	}
}

// Whatever destinations are told apart now, the counts of each and of the others are of the same time, also of one that was
// among the others before.
func TestRecentOfOtherDestinations(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		o := newObserver(t, k)
		o.lookAround()
		address := func(i int) string { return fmt.Sprintf("198.18.1.%d:80", 1+i) }
		const destinations = result.MaximumDestinations + 5
		for i := range destinations {
			k.open(destinations-i, address(i)) // the last are the others
		}
		last := address(destinations - 1)
		time.Sleep(10 * time.Second)
		k.timeWait(1, last, 5*time.Second)
		pass(o, k, 2*time.Hour, nothing)
		check(t, ask(o.Recent()), map[string]string{
			of("destination_opened_total", last): "", of("destination_opened_total", result.OtherDestinations): "0",
		})
		check(t, scrape(t, o), map[string]string{of("destination_opened_total", result.OtherDestinations): "16"})
		pass(o, k, time.Minute, func() { k.timeWait(10, last, 5*time.Second) })
		check(t, ask(o.Recent()), map[string]string{
			of("destination_opened_total", last): "60", of("destination_opened_total", result.OtherDestinations): "0",
		})
		check(t, scrape(t, o), map[string]string{of("destination_opened_total", last): "62"})
	})
}

// Totals are those of before and those since, and no part is more than the whole.
func TestTotalsSince(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	some := func() totals {
		n := func() int64 { return 1 + random.Int64N(1000) }
		grown := totals{
			opened: 1000 + n(), failed: n(), closed: 1000 + n(), openBefore: n(), closedHere: n(), singleExchange: n(),
			retransmitted: n(), samples: n(), inFlight: n(), held: n(), zeroWindow: n(), open: n(),
			ends: result.Ends{Orderly: n(), Unanswered: n(), Reset: n(), ResetHere: n(), Silent: n()},
		}
		if v := reflect.ValueOf(grown); anyZero(v) {
			t.Fatalf("%+v: a count is left out of this test", grown)
		}
		return grown
	}
	for range 1000 {
		before, since := some(), some()
		now := before
		now.add(since)
		if got := now.since(before); got != since {
			t.Errorf("%+v\nsince %+v\nis %+v\nwant %+v", now, before, got, since)
		}
		if got := now.since(totals{}); got != now {
			t.Errorf("%+v since the beginning is %+v", now, got)
		}
		if got := before.since(now); got != (totals{}) {
			t.Errorf("%+v since what was more is %+v", before, got)
		}
	}
	edge := totals{opened: 10, failed: 3, closed: 9, closedHere: 5, singleExchange: 4}
	now := totals{opened: 11, failed: 6, closed: 11, closedHere: 9, singleExchange: 8}
	if got, want := now.since(edge), (totals{opened: 1, failed: 1, closed: 2, closedHere: 2, singleExchange: 2}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// anyZero says whether a figure of a struct, or of one in it, is zero.
func anyZero(v reflect.Value) bool {
	if v.Kind() != reflect.Struct {
		return v.IsZero()
	}
	for i := range v.NumField() {
		if anyZero(v.Field(i)) {
			return true
		}
	}
	return false
}

// What a crowded observer remembers and serves of late stays small.
func TestRecentIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := &kernel{}
		for i := range 300 {
			k.open(1, fmt.Sprintf("[2001:db8:1111:2222:3333:4444:5555:%x]:65535", 0x1000+i))
		}
		o := newObserver(t, k)
		o.lookAround()
		pass(o, k, 2*time.Hour, nothing)
		groups, noted := 0, 0
		o.ledger.eachGroup(func(g *group) {
			groups++
			noted += len(g.past)
		})
		if groups > maximumGroups+1 || noted > 7*groups {
			t.Errorf("%d groups, %d totals noted", groups, noted)
		}
		recorder := httptest.NewRecorder()
		o.Recent().ServeHTTP(recorder, httptest.NewRequest("GET", "/", nil))
		t.Logf("%d totals of %d bytes are noted; %d bytes are served", noted, reflect.TypeFor[pastTotals]().Size(), recorder.Body.Len())
		if recorder.Body.Len() > result.MaximumMetricsBytes-2*result.MaximumSysctlBytes {
			t.Errorf("%d bytes leave no room for long settings", recorder.Body.Len())
		}
	})
}

// A connection of which only the farewell was seen before the observer began is none that it saw end.
func TestAPartIsNeverMoreThanTheWhole(t *testing.T) {
	g := &group{total: totals{opened: 3, failed: 4, closed: 5, closedHere: 7, singleExchange: 6}}
	if got, want := g.counted(mark{}).total, (totals{opened: 3, failed: 3, closed: 5, closedHere: 5, singleExchange: 5}); got != want {
		t.Errorf("counted %+v, want %+v", got, want)
	}
}
