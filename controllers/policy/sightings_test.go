package policy

import (
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/connpolicy/connpolicy/internal/observer"
	"github.com/connpolicy/connpolicy/probes/result"
)

func TestObserverThatDoesNotStart(t *testing.T) {
	creating := []corev1.ContainerStatus{{Name: observer.Name, State: corev1.ContainerState{
		Waiting: &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}}}}
	for _, test := range []struct {
		name     string
		statuses []corev1.ContainerStatus
		last     sighting
		after    time.Duration
		want     result.Outcome
	}{
		{"just seen for the first time", nil, sighting{}, time.Hour, ""},
		{"soon", nil, sighting{addedAt: begin}, 119 * time.Second, ""},
		{"not taken up", nil, sighting{addedAt: begin}, 2 * time.Minute, result.Failed},
		{"being created", creating, sighting{addedAt: begin}, 2 * time.Minute, result.Failed},
		{"still not", creating, sighting{addedAt: begin, outcome: result.Failed}, time.Hour, result.Failed},
	} {
		pod := sourcePod("a", "n1", 9, "o")
		pod.Status.EphemeralContainerStatuses = test.statuses
		now := begin.Add(test.after)
		got := (&Reconciler{}).look(t.Context(), &pod, test.last, now)
		cause, next := "", now.Add(lookAgain)
		if test.want == result.Failed {
			cause, next = "the kubelet of node n1 has not started the observer in 2 minutes", now.Add(readSeldom)
		}
		if got.outcome != test.want || got.cause != cause || !got.nextLook(readSeldom).Equal(next) || got.addedAt.IsZero() {
			t.Errorf("%s: %+v, next look at %s", test.name, got, got.nextLook(readSeldom))
		}
	}
}

func TestUnreachableObserverIsReadEverMoreRarely(t *testing.T) {
	for _, test := range []struct {
		every time.Duration
		want  []time.Duration
	}{
		{readOften, []time.Duration{lookAgain, lookAgain, lookAgain, readOften, readOften, readOften,
			time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}},
		{readSeldom, []time.Duration{lookAgain, lookAgain, lookAgain, readSeldom, readSeldom, readSeldom,
			time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 10 * time.Minute, 10 * time.Minute}},
		{time.Hour, []time.Duration{lookAgain, lookAgain, lookAgain, time.Hour, time.Hour, time.Hour, time.Hour}},
	} {
		var got []time.Duration
		now, seen := begin, sighting{}
		for range test.want {
			seen = unread("refused", begin, seen, now)
			got = append(got, seen.nextLook(test.every).Sub(now))
			now = seen.nextLook(test.every)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("every %s: %v, want %v", test.every, got, test.want)
		}
	}
}

// What the pod's status tells of its observer is told at once, whatever the pause before the next read.
func TestDue(t *testing.T) {
	every := readSeldom
	unreachable := sighting{at: begin, outcome: result.Failed, cause: "refused", failedReads: 9}
	crashed := sourcePod("a", "n1", 9, "o")
	crashed.Status.EphemeralContainerStatuses = []corev1.ContainerStatus{{Name: observer.Name, State: corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, Reason: "OOMKilled"}}}}
	running := sourcePod("a", "n1", 9, "o")
	known := sighting{at: begin, outcome: result.Failed, cause: observer.Trouble(&crashed)}
	for _, test := range []struct {
		name  string
		pod   corev1.Pod
		seen  sighting
		after time.Duration
		want  bool
	}{
		{"it starts", running, sighting{at: begin}, 0, true},
		{"measured lately", running, sighting{at: begin, outcome: result.Measured}, every - 2*time.Second, false},
		{"measured a while ago", running, sighting{at: begin, outcome: result.Measured}, every - time.Second, true},
		{"unreachable", running, unreachable, longestPause - 2*time.Second, false},
		{"unreachable for long", running, unreachable, longestPause, true},
		{"it crashed", crashed, unreachable, 0, true},
		{"its crash is known", crashed, known, every - 2*time.Second, false},
	} {
		o := observed{pod: &test.pod, seen: test.seen}
		if got := o.due(every, begin.Add(test.after)); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

func TestUnread(t *testing.T) {
	now, started := begin.Add(time.Hour), begin
	for _, test := range []struct {
		name  string
		since time.Time
		last  sighting
		want  sighting
	}{
		{"just started", now.Add(-14 * time.Second), sighting{}, sighting{at: now}},
		{"its node's clock is a little ahead", now.Add(14 * time.Second), sighting{}, sighting{at: now}},
		{"its node's clock is far ahead", now.Add(time.Hour), sighting{}, sighting{at: now, outcome: result.Failed, cause: "refused", failedReads: 1}},
		{"refused", started, sighting{failedReads: 2}, sighting{at: now, outcome: result.Failed, cause: "refused", failedReads: 3}},
		{"fresh figures stand", started, sighting{observation: &result.Observation{At: now.Add(-119 * time.Second)}, recent: &result.Observation{}},
			sighting{at: now, outcome: result.Measured, failedReads: 1}},
		{"old figures do not", started, sighting{observation: &result.Observation{At: now.Add(-2 * time.Minute)}},
			sighting{at: now, outcome: result.Failed, cause: "refused", failedReads: 1}},
	} {
		want := test.want
		if want.outcome == result.Measured {
			want.observation, want.recent = test.last.observation, test.last.recent
		}
		if got := unread("refused", test.since, test.last, now); got != want {
			t.Errorf("%s: %+v, want %+v", test.name, got, want)
		}
	}
}

func TestSightingOutlivesTheLongestPause(t *testing.T) {
	var remembered sightings
	remembered.put("a", sighting{at: begin, outcome: result.Failed, failedReads: 9})
	remembered.put("b", sighting{at: begin.Add(longestPause + readSeldom)})
	if seen, known := remembered.get("a"); !known || seen.failedReads != 9 {
		t.Errorf("forgot the failures: %+v", seen)
	}
}
