package policy

import (
	"encoding/json"
	"maps"
	"reflect"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	vip   = "198.19.0.1:80"
	one   = "198.18.1.1:8080"
	two   = "198.18.1.2:8080"
	three = "198.18.1.3:8080"
)

// stage plays what a witness sees, second by second.
type stage struct {
	*testing.T
	witness witness
	offer   offer
	seen    readings
}

// virtual is a Service with a virtual address, headless one without.
func virtual(t *testing.T) *stage {
	return &stage{T: t, offer: offer{link: "shop/pay:80", virtual: []string{vip}}, seen: readings{}}
}

func headless(t *testing.T) *stage {
	return &stage{T: t, offer: offer{link: "shop/pay:80"}, seen: readings{}}
}

// offering is what the Service offers from now on: endpoints that stay, and others that are listed.
func (s *stage) offering(staying []string, others ...string) *stage {
	s.offer.staying, s.offer.listed = staying, append(append([]string{}, staying...), others...)
	return s
}

// counting is what an observer says of the connections to some addresses.
type counting map[string]result.Connections

// reading is made so many seconds after the begin, by an observer that began an hour before.
func reading(second int, c counting) *result.Observation {
	o := &result.Observation{At: begin.Add(time.Duration(second) * time.Second), UptimeSeconds: float64(3600 + second)}
	for address := range maps.Keys(c) {
		o.Destinations = append(o.Destinations, result.Destination{Address: address, Connections: new(c[address])})
	}
	return o
}

// look is a reconcile at a second, at which these pods are read.
func (s *stage) look(second int, read readings) *stage {
	now := begin.Add(time.Duration(second) * time.Second)
	s.witness.look(now, s.offer, s.seen)
	maps.Copy(s.seen, read)
	s.witness.read(now, s.seen)
	return s
}

// client is a reading of the one pod.
func byClient(second int, c counting) readings { return readings{"client": reading(second, c)} }

// pool are connections that ended so.
func pool(opened, open int, ends result.Ends) result.Connections {
	return result.Connections{Opened: int64(opened), Open: open, Closed: ends.Orderly + ends.Reset + ends.ResetHere + ends.Silent, Ends: &ends}
}

// tells checks what is told so far.
func (s *stage) tells(want ...v1alpha1.Drain) {
	s.Helper()
	if len(want) == 0 && len(s.witness.told) == 0 {
		return
	}
	if !reflect.DeepEqual(s.witness.told, want) {
		s.Errorf("it tells %+v, want %+v", spelled(s.witness.told), spelled(want))
	}
}

func spelled(drains []v1alpha1.Drain) []string {
	var texts []string
	for _, d := range drains {
		texts = append(texts, spell(d))
	}
	return texts
}

// A roll-out behind a virtual address, one endpoint after the other: the second is taken into the window, and it closes when
// both are gone and all that ended was counted.
func TestWitnessOfARollOut(t *testing.T) {
	s := virtual(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{vip: pool(100, 10, result.Ends{Orderly: 90})}))
	s.look(60, byClient(60, counting{vip: pool(110, 10, result.Ends{Orderly: 100})}))
	s.offering([]string{two, three}, one).look(90, byClient(90, counting{vip: pool(117, 10, result.Ends{Orderly: 103, Reset: 4})}))
	s.offering([]string{three}, one, two).look(95, nil)
	s.offering([]string{three}, two).look(110, byClient(110, counting{vip: pool(120, 9, result.Ends{Orderly: 104, Unanswered: 1, Reset: 7})}))
	s.offering([]string{three}).look(118, nil)
	s.look(130, byClient(130, counting{vip: pool(121, 10, result.Ends{Orderly: 104, Unanswered: 1, Reset: 7})}))
	s.tells() // twelve seconds after the last was gone
	s.look(150, byClient(150, counting{vip: pool(125, 10, result.Ends{Orderly: 107, Unanswered: 1, Reset: 7, Silent: 1})}))
	s.tells(v1alpha1.Drain{
		StartTime: moment(90), EndTime: moment(150), Endpoints: 2, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 15, Closed: 15, Open: 10, Ends: &v1alpha1.ConnectionEnds{Orderly: 7, Unanswered: 1, Reset: 7, Silent: 1}},
		Before: &v1alpha1.ConnectionCounts{Opened: 110, Closed: 100, Open: 10, Ends: &v1alpha1.ConnectionEnds{Orderly: 100}},
	})
	if s.witness.window != nil {
		t.Error("the window is still open")
	}
}

// Sockets to a headless Service name the endpoints: only those that left are counted, each from before it left.
func TestWitnessOfAHeadlessService(t *testing.T) {
	s := headless(t).offering([]string{one, two, three})
	s.look(0, byClient(0, counting{one: pool(5, 5, result.Ends{}), two: pool(5, 5, result.Ends{}), three: pool(50, 5, result.Ends{Reset: 45})}))
	s.offering([]string{two, three}).look(30, byClient(30, counting{one: pool(5, 2, result.Ends{Reset: 3}), two: pool(7, 5, result.Ends{Orderly: 2}), three: pool(60, 5, result.Ends{Reset: 55})}))
	s.look(35, nil)
	s.offering([]string{three}).look(50, nil)
	refused := pool(9, 2, result.Ends{Reset: 3})
	refused.Failed = 4
	s.look(70, byClient(70, counting{one: refused, two: pool(7, 0, result.Ends{Orderly: 7}), three: pool(70, 5, result.Ends{Reset: 65})}))
	s.tells(v1alpha1.Drain{
		StartTime: moment(30), EndTime: moment(70), Endpoints: 2, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 4, Failed: 4, Closed: 8, Open: 2, Ends: &v1alpha1.ConnectionEnds{Orderly: 5, Reset: 3}},
	})
}

// Where the workload or Cilium chooses the endpoints, sockets name them although the Service has a virtual address.
func TestWitnessOfEndpointsThatAreChosenElsewhere(t *testing.T) {
	s := virtual(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{one: pool(5, 5, result.Ends{}), two: pool(5, 5, result.Ends{})}))
	s.offering([]string{two}).look(30, nil)
	s.look(50, byClient(50, counting{one: pool(5, 0, result.Ends{Reset: 5}), two: pool(9, 9, result.Ends{})}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(50), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Closed: 5, Ends: &v1alpha1.ConnectionEnds{Reset: 5}}})
}

// The last endpoint leaves, and for a while there is none.
func TestWitnessOfTheLastEndpoint(t *testing.T) {
	s := virtual(t).offering([]string{one})
	s.look(0, byClient(0, counting{vip: pool(4, 4, result.Ends{})}))
	s.offering(nil, one).look(30, byClient(30, counting{vip: pool(4, 4, result.Ends{})}))
	s.offering(nil).look(40, nil)
	s.offering([]string{two}).look(55, byClient(55, counting{vip: pool(8, 4, result.Ends{Reset: 4})}))
	s.tells(v1alpha1.Drain{
		StartTime: moment(30), EndTime: moment(55), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 4, Closed: 4, Open: 4, Ends: &v1alpha1.ConnectionEnds{Reset: 4}},
		Before: &v1alpha1.ConnectionCounts{Opened: 4, Open: 4, Ends: &v1alpha1.ConnectionEnds{}},
	})
}

// What an endpoint does that is not ready for a while is no drain.
func TestWitnessOfAnEndpointThatComesBack(t *testing.T) {
	s := headless(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{one: pool(5, 5, result.Ends{}), two: pool(5, 5, result.Ends{})}))
	s.offering([]string{two}, one).look(30, byClient(30, counting{one: pool(5, 0, result.Ends{Reset: 5})}))
	s.offering([]string{one, two}).look(50, byClient(50, counting{one: pool(9, 4, result.Ends{Reset: 5})}))
	s.tells()
	if s.witness.window != nil {
		t.Error("the window is still open")
	}

	// Beside one that does not come back it is not counted.
	s = headless(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{one: pool(5, 5, result.Ends{}), two: pool(5, 5, result.Ends{})}))
	s.offering(nil, one).look(30, byClient(30, counting{one: pool(5, 0, result.Ends{Reset: 5}), two: pool(5, 0, result.Ends{Orderly: 5})}))
	s.offering([]string{one}).look(50, nil)
	s.look(70, byClient(70, counting{one: pool(9, 4, result.Ends{Reset: 5}), two: pool(5, 0, result.Ends{Orderly: 5})}))
	s.tells(v1alpha1.Drain{
		StartTime: moment(30), EndTime: moment(70), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Closed: 5, Ends: &v1alpha1.ConnectionEnds{Orderly: 5}},
	})
}

// The second drain is not compared with the first.
func TestWitnessComparesWithQuietTimes(t *testing.T) {
	s := virtual(t).offering([]string{one})
	s.look(0, byClient(0, counting{vip: pool(100, 0, result.Ends{Orderly: 100})}))
	s.offering([]string{two}).look(30, nil)
	s.look(50, byClient(50, counting{vip: pool(150, 0, result.Ends{Orderly: 110, Reset: 40})}))
	s.look(110, byClient(110, counting{vip: pool(160, 0, result.Ends{Orderly: 120, Reset: 40})}))
	s.offering([]string{three}).look(140, nil)
	s.look(170, byClient(170, counting{vip: pool(180, 0, result.Ends{Orderly: 130, Reset: 50})}))
	if len(s.witness.told) != 2 {
		t.Fatalf("it tells %v", spelled(s.witness.told))
	}
	if got, want := *s.witness.told[0].Before, (v1alpha1.ConnectionCounts{Opened: 110, Closed: 110, Ends: &v1alpha1.ConnectionEnds{Orderly: 110}}); !reflect.DeepEqual(got, want) {
		t.Errorf("before the second it was %+v, want %+v", got, want)
	}
}

// What the first drain came to is part of what was counted before the second only if it was counted by the same observer, and
// if that did not forget the address.
func TestWitnessComparesWithWhatIsCountedAnew(t *testing.T) {
	for name, counted := range map[string]*result.Observation{
		"the observer began anew":   {At: begin.Add(110 * time.Second), UptimeSeconds: 40},
		"the address was forgotten": {At: begin.Add(110 * time.Second), UptimeSeconds: 3710},
	} {
		// As many as the first drain came to, and fewer.
		for _, opened := range []int{70, 30} {
			s := virtual(t).offering([]string{one})
			s.look(0, byClient(0, counting{vip: pool(100, 0, result.Ends{Orderly: 100})}))
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, counting{vip: pool(150, 0, result.Ends{Orderly: 110, Reset: 40})}))
			counted.Destinations = []result.Destination{{Address: vip, Connections: new(pool(opened, 0, result.Ends{Orderly: int64(opened)}))}}
			s.look(110, readings{"client": counted})
			s.offering([]string{three}).look(140, nil)
			after := *counted
			after.At, after.UptimeSeconds = begin.Add(170*time.Second), counted.UptimeSeconds+60
			s.look(170, readings{"client": &after})
			if len(s.witness.told) != 2 {
				t.Fatalf("%s: it tells %v", name, spelled(s.witness.told))
			}
			if got := s.witness.told[0].Before.Opened; got != int64(opened) {
				t.Errorf("%s: %d were opened before the second, want %d", name, got, opened)
			}
		}
	}
}

// Each of these makes that a pod cannot be counted, and that nothing is said where it is the only one.
func TestWitnessLeavesOut(t *testing.T) {
	some := func(opened int) counting {
		return counting{vip: pool(opened, 5, result.Ends{Reset: int64(opened) - 5})}
	}
	others := func(o *result.Observation) *result.Observation {
		o.Destinations, o.OtherDestinations = nil, &result.Destination{Address: result.OtherDestinations}
		return o
	}
	for name, play := range map[string]func(*stage){
		"read only after it began": func(s *stage) {
			s.look(25, byClient(25, some(10)))
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, some(20)))
		},
		"read too long before": func(s *stage) {
			s.look(0, byClient(0, some(10))).look(100, nil).look(170, nil)
			s.offering([]string{two}).look(200, nil)
			s.look(220, byClient(220, some(20)))
		},
		"its observer began anew": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(30, nil)
			anew := reading(50, some(20))
			anew.UptimeSeconds = 15
			s.look(50, readings{"client": anew})
		},
		"its observer began anew and looks for as long as before": func(s *stage) {
			early := reading(0, some(10))
			early.UptimeSeconds = 5
			s.look(0, readings{"client": early})
			s.offering([]string{two}).look(30, nil)
			anew := reading(50, some(20))
			anew.UptimeSeconds = 15
			s.look(50, readings{"client": anew})
		},
		"its addresses are not told apart before": func(s *stage) {
			s.look(0, readings{"client": others(reading(0, nil))})
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, some(20)))
		},
		"its addresses are not told apart after": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(30, nil)
			s.look(50, readings{"client": others(reading(50, nil))})
		},
		"its observer is of an older version": func(s *stage) {
			old := reading(0, some(10))
			old.Destinations[0].Connections = nil
			s.look(0, readings{"client": old})
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, some(20)))
		},
		"it goes": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(30, nil)
			delete(s.seen, "client")
			s.look(50, readings{"other": reading(50, some(20))})
		},
		"nobody could read it any more": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(30, byClient(30, some(20)))
			for second := 50; second < 1000; second += 20 {
				s.look(second, nil)
			}
		},
		"nobody looked meanwhile": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(30, nil)
			s.look(4000, byClient(4000, some(900))).look(4020, byClient(4020, some(900)))
		},
		"nobody looked when they left": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offering([]string{two}).look(4000, byClient(4000, some(900))).look(4020, byClient(4020, some(900)))
		},
		"the policy names another Service": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offer.link = "shop/other:80"
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, some(20)))
		},
		"the Service has no virtual address any more": func(s *stage) {
			s.look(0, byClient(0, some(10)))
			s.offer.virtual = nil
			s.offering([]string{two}).look(30, nil)
			s.look(50, byClient(50, some(20)))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := virtual(t).offering([]string{one})
			play(s)
			s.tells()
			if s.witness.window != nil {
				t.Error("the window is still open")
			}
		})
	}
}

// Behind a virtual address a pod counts to the end that was read before the first endpoint left.
func TestWitnessOfAPodThatIsNotReadForAWhile(t *testing.T) {
	s := virtual(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{vip: pool(10, 0, result.Ends{Orderly: 10})}))
	s.offering([]string{two, three}).look(30, nil).look(200, nil)
	s.offering([]string{three}).look(400, nil)
	s.look(420, byClient(420, counting{vip: pool(30, 0, result.Ends{Orderly: 30})}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(420), Endpoints: 2, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 20, Closed: 20, Ends: &v1alpha1.ConnectionEnds{Orderly: 20}},
		Before: &v1alpha1.ConnectionCounts{Opened: 10, Closed: 10, Ends: &v1alpha1.ConnectionEnds{Orderly: 10}}})
}

// A pod that is not observed for a while, as one that is not ready, counts when it is read again; one that goes does not keep
// the others from being counted.
func TestWitnessOfSeveralPods(t *testing.T) {
	s := virtual(t).offering([]string{one})
	some := func(second, opened int) *result.Observation {
		return reading(second, counting{vip: pool(opened, 0, result.Ends{Orderly: int64(opened)})})
	}
	s.look(0, readings{"a": some(0, 10), "b": some(0, 10), "c": some(0, 10)})
	s.offering([]string{two}).look(30, readings{"a": some(30, 11), "b": some(30, 11), "c": some(30, 11)})
	s.look(50, readings{"a": some(50, 13)})
	s.tells()
	delete(s.seen, "c")
	s.look(90, readings{"a": some(90, 14), "b": some(90, 12)})
	s.tells(v1alpha1.Drain{
		StartTime: moment(30), EndTime: moment(90), Endpoints: 1, Pods: 2,
		During: v1alpha1.ConnectionCounts{Opened: 6, Closed: 6, Ends: &v1alpha1.ConnectionEnds{Orderly: 6}},
		Before: &v1alpha1.ConnectionCounts{Opened: 20, Closed: 20, Ends: &v1alpha1.ConnectionEnds{Orderly: 20}},
	})
}

// What takes longer than a quarter of an hour to be gone is told as it is then.
func TestWitnessDoesNotWaitForEver(t *testing.T) {
	s := headless(t).offering([]string{one, two})
	held := counting{one: pool(5, 5, result.Ends{})}
	s.look(0, byClient(0, held))
	s.offering([]string{two}, one)
	for second := 30; second < 30+900; second += 20 {
		s.look(second, byClient(second, held))
		s.tells()
	}
	s.look(930, byClient(930, held))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(930), Endpoints: 1, StillListed: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Open: 5, Ends: &v1alpha1.ConnectionEnds{}}})
}

// Where one endpoint after the other leaves, for hours, an hour of it is told at a time.
func TestWitnessOfEndpointsThatNeverStopToLeave(t *testing.T) {
	s := virtual(t).offering([]string{"198.18.1.0:8080"})
	for second := 0; second <= 2*3600+200; second += 20 {
		s.offering([]string{"198.18.1." + string(rune('0'+second/20%10)) + ":8080"})
		s.look(second, byClient(second, counting{vip: pool(second, 0, result.Ends{Orderly: int64(second)})}))
	}
	if len(s.witness.told) != 2 {
		t.Fatalf("it tells %v", spelled(s.witness.told))
	}
	for _, d := range s.witness.told {
		if lasted := d.EndTime.Sub(d.StartTime.Time); lasted != time.Hour || d.During.Opened < 3600 || d.During.Opened > 3640 {
			t.Errorf("it tells %s", spell(d))
		}
	}
}

// An observer forgets an address that no socket has named for minutes. What it had counted stands.
func TestWitnessOfAnAddressThatIsForgotten(t *testing.T) {
	s := headless(t).offering([]string{one, two})
	s.look(0, byClient(0, counting{one: pool(50, 5, result.Ends{Orderly: 45})}))
	s.offering([]string{two}, one).look(30, byClient(30, counting{one: pool(50, 0, result.Ends{Orderly: 45, Reset: 5})}))
	s.look(200, byClient(200, counting{one: pool(50, 0, result.Ends{Orderly: 45, Reset: 5})})).look(400, byClient(400, nil))
	failed := result.Connections{Opened: 3, Failed: 3}
	s.look(420, byClient(420, counting{one: failed}))
	s.offering([]string{two}).look(440, byClient(440, counting{one: failed}))
	s.look(460, byClient(460, counting{one: failed}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(460), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 3, Failed: 3, Closed: 5, Ends: &v1alpha1.ConnectionEnds{Reset: 5}}})
}

// A connection that is found to be of the other side is taken out of what was opened: nothing was forgotten then.
func TestWitnessOfACountThatIsCorrected(t *testing.T) {
	s := virtual(t).offering([]string{one})
	s.look(0, byClient(0, counting{vip: pool(1000, 1, result.Ends{Orderly: 990})}))
	s.offering([]string{two}).look(30, nil)
	s.look(50, byClient(50, counting{vip: pool(999, 0, result.Ends{Orderly: 990})}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(50), Endpoints: 1, Pods: 1, During: v1alpha1.ConnectionCounts{Ends: &v1alpha1.ConnectionEnds{}},
		Before: &v1alpha1.ConnectionCounts{Opened: 1000, Closed: 990, Open: 1, Ends: &v1alpha1.ConnectionEnds{Orderly: 990}}})
}

// A connect that was under way at the reading before, and failed since, is one of those that are told: a part is never more
// than the whole.
func TestWitnessOfConnectsThatWereUnderWay(t *testing.T) {
	s := virtual(t).offering([]string{one})
	c := pool(1003, 10, result.Ends{Orderly: 990}) // three are under way
	s.look(0, byClient(0, counting{vip: c}))
	s.offering([]string{two}, one).look(30, nil)
	c.Failed = 3
	s.look(50, byClient(50, counting{vip: c}))
	c.Opened += 5
	c.Closed, c.Ends = c.Closed+5, &result.Ends{Orderly: 995}
	s.offering([]string{two}).look(70, byClient(70, counting{vip: c}))
	s.look(90, byClient(90, counting{vip: c}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(90), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 8, Failed: 3, Closed: 5, Open: 10, Ends: &v1alpha1.ConnectionEnds{Orderly: 5}},
		Before: &v1alpha1.ConnectionCounts{Opened: 1003, Closed: 990, Open: 10, Ends: &v1alpha1.ConnectionEnds{Orderly: 990}}})
}

// Ends that the kernel did not tell are absent, not zero.
func TestWitnessOfEndsThatAreNotTold(t *testing.T) {
	s := virtual(t).offering([]string{one})
	s.look(0, byClient(0, counting{vip: {Opened: 10, Closed: 5, Open: 5}}))
	s.offering([]string{two}).look(30, nil)
	s.look(50, byClient(50, counting{vip: {Opened: 20, Closed: 15, Open: 5}}))
	s.tells(v1alpha1.Drain{StartTime: moment(30), EndTime: moment(50), Endpoints: 1, Pods: 1,
		During: v1alpha1.ConnectionCounts{Opened: 10, Closed: 10, Open: 5}, Before: &v1alpha1.ConnectionCounts{Opened: 10, Closed: 5, Open: 5}})
}

// Links keep their witnesses, each its own, and those of links that are gone are forgotten.
func TestWitnesses(t *testing.T) {
	var all witnesses
	one := all.of("policy", "a", begin)
	if all.of("policy", "a", begin.Add(time.Hour)) != one || all.of("policy", "b", begin) == one || all.of("other", "a", begin) == one {
		t.Error("a witness is not of its link alone")
	}
	all.of("other", "c", begin.Add(time.Hour))
	if len(all.byLink) != 2 || all.byLink[linkKey{"policy", "a"}].witness != one {
		t.Errorf("%d witnesses are kept", len(all.byLink))
	}
}

// The endpoints of a Service that is gone have left; of one whose port is gone nothing is known, nor of one that does not exist
// and that the policy named only since, or of another workload's.
func TestOffer(t *testing.T) {
	last := offer{link: "Deployment/client shop/pay:80", virtual: []string{vip}, staying: []string{one}, listed: []string{one}}
	behind := target{name: "shop/pay:80", virtual: true, addresses: []string{vip}, listed: []string{one}}
	empty := offer{link: "Deployment/client shop/pay:80", virtual: []string{vip}, listed: []string{one}}
	gone := offer{link: "Deployment/client shop/pay:80", virtual: []string{vip}}
	for _, test := range []struct {
		reason, workload, service string
		last                      offer
		want                      offer
		known                     bool
	}{
		{"", "client", "pay", last, empty, true},
		{v1alpha1.ReasonNoEndpoints, "client", "pay", last, empty, true},
		{v1alpha1.ReasonServiceNotFound, "client", "pay", last, gone, true},
		{v1alpha1.ReasonServiceNotFound, "client", "pays", last, offer{}, false},
		{v1alpha1.ReasonServiceNotFound, "client", "pa", last, offer{}, false},
		{v1alpha1.ReasonServiceNotFound, "other", "pay", last, offer{}, false},
		{v1alpha1.ReasonServiceNotFound, "client", "pay", offer{}, offer{}, false},
		{v1alpha1.ReasonPortNotFound, "client", "pay", last, offer{}, false},
	} {
		p := &v1alpha1.ConnectionPolicy{}
		p.Namespace, p.Spec.From = "shop", &v1alpha1.WorkloadReference{Kind: "Deployment", Name: test.workload}
		l := &link{target: behind, trouble: trouble{reason: test.reason}, spec: v1alpha1.Link{Service: &v1alpha1.ServiceReference{Name: test.service}}}
		if is, known := l.offer(p, test.last); known != test.known || known && !reflect.DeepEqual(is, test.want) {
			t.Errorf("%s to %s, %q: %+v, %t", test.workload, test.service, test.reason, is, known)
		}
	}
}

// Pods that are on their way out, or that nobody reads, are told from those that are gone.
func TestReadings(t *testing.T) {
	going, unread, observing := sourcePod("going", "n", 1, "x"), sourcePod("unread", "n", 1, ""), sourcePod("observed", "n", 1, "")
	s := &scope{}
	for _, pod := range []*types.UID{&going.UID, &unread.UID, &observing.UID} {
		*pod = types.UID(time.Duration(len(s.source.pods)).String())
		s.source.pods = append(s.source.pods, going)
	}
	s.source.pods[1], s.source.pods[2] = unread, observing
	read := reading(0, nil)
	s.observed = []observed{{pod: &observing, seen: sighting{observation: read}}}
	if got, want := s.readings(), (readings{unread.UID: nil, observing.UID: read}); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func moment(second int) metav1.Time {
	return metav1.NewTime(begin.Add(time.Duration(second) * time.Second))
}

func spell(d v1alpha1.Drain) string {
	text, err := json.Marshal(d)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
