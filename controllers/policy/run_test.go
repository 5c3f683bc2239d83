package policy

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/probepod"
	"github.com/connpolicy/connpolicy/probes/result"
)

var begin = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func asked(run *v1alpha1.ProbeRunStatus, nodes ...string) runInput {
	return runInput{
		now: begin, policyUID: "uid", policyName: "p", generation: 1, link: "l", fingerprint: "abc123",
		interval: 10 * time.Minute, vantages: vantageChoice{nodes: nodes, enough: vantagesPerRun}, run: run,
		pods: map[string]podReading{},
	}
}

// running is a run with pods; those without an outcome are under way.
func running(pods ...v1alpha1.ProbePodStatus) *v1alpha1.ProbeRunStatus {
	return &v1alpha1.ProbeRunStatus{
		ID: "abc123-00000000", Phase: v1alpha1.RunRunning, StartedAt: metav1.NewTime(begin), Pods: pods,
	}
}

func pod(name, node string, outcome result.Outcome) v1alpha1.ProbePodStatus {
	return v1alpha1.ProbePodStatus{Name: name, UID: "uid-" + name, Node: node, Outcome: string(outcome)}
}

func with(in runInput, name string, reading podReading) runInput {
	if reading.uid == "" {
		reading.uid = types.UID("uid-" + name)
	}
	in.pods[name] = reading
	return in
}

func at(in runInput, after time.Duration) runInput {
	in.now = begin.Add(after)
	return in
}

func TestAdvance(t *testing.T) {
	measured := podReading{Reading: probepod.Reading{Finished: true, Outcome: result.Measured, Result: &result.Result{}}}
	ended := podReading{Reading: probepod.Reading{Finished: true, Outcome: result.Failed, Cause: "Evicted"}}
	givenUp := podReading{live: true, Reading: probepod.Reading{Finished: true, Outcome: result.Failed, Cause: "not scheduled"}}
	waitingRun := running(pod("a", "n1", result.Failed))
	waitingRun.Failures, waitingRun.NotBefore = 1, &metav1.Time{Time: begin.Add(firstRetry)}
	contentRun := running(pod("a", "n1", result.Measured), pod("b", "n2", result.Failed), pod("c", "n2", result.Failed))
	contentRun.Failures = 2
	contentRun.Pods = append(contentRun.Pods, pod("d", "n2", ""))
	finishedRun := running(pod("a", "n1", result.Measured))
	finishedRun.Phase = v1alpha1.RunFinished
	otherRun := running(pod("a", "n1", ""))
	otherRun.ID = "fedcba-00000000"
	requested := asked(running(pod("a", "n1", "")), "n1")
	requested.requestedAt = "now"
	ofServer := asked(running(pod("a", "n1", "")), "n1", "n2")
	ofServer.vantages.enough = 1

	for _, test := range []struct {
		name string
		in   runInput
		// phase after the step; empty: no run.
		phase v1alpha1.RunPhase
		begun bool
		// create is the node of the pod to be created; none if "-".
		create   string
		remove   int
		failures int32
		lastPod  result.Outcome
	}{
		{name: "the first run begins on the best node", in: asked(nil, "n1", "n2"), phase: v1alpha1.RunWaiting, begun: true, create: "n1"},
		{name: "nothing begins without a place to stand", in: asked(nil), create: "-"},
		{name: "a server is measured from anywhere", in: asked(nil, anywhere), phase: v1alpha1.RunWaiting, begun: true, create: anywhere},
		{name: "a pod under way is waited for", in: with(asked(running(pod("a", "n1", "")), "n1"), "a", podReading{}),
			phase: v1alpha1.RunRunning, create: "-"},
		{name: "after the first result the second node", in: with(asked(running(pod("a", "n1", "")), "n1", "n2"), "a", measured),
			phase: v1alpha1.RunWaiting, create: "n2", lastPod: result.Measured},
		{name: "one node is enough for a server", in: with(ofServer, "a", measured),
			phase: v1alpha1.RunFinished, create: "-", lastPod: result.Measured},
		{name: "one node is enough if there is one alone", in: with(asked(running(pod("a", "n1", "")), "n1"), "a", measured),
			phase: v1alpha1.RunFinished, create: "-", lastPod: result.Measured},
		{name: "two nodes are enough of three", in: with(asked(running(pod("a", "n1", result.Measured), pod("b", "n2", "")), "n1", "n2", "n3"), "b", measured),
			phase: v1alpha1.RunFinished, create: "-", lastPod: result.Measured},
		{name: "a pod that failed is kept for its log, and the run waits", in: with(asked(running(pod("a", "n1", "")), "n1"), "a", ended),
			phase: v1alpha1.RunWaiting, create: "-", failures: 1, lastPod: result.Failed},
		{name: "a pod that is given up is deleted", in: with(asked(running(pod("a", "n1", "")), "n1"), "a", givenUp),
			phase: v1alpha1.RunWaiting, create: "-", remove: 1, failures: 1, lastPod: result.Failed},
		{name: "a pod that disappeared is lost", in: asked(running(pod("a", "n1", "")), "n1"),
			phase: v1alpha1.RunWaiting, create: "-", failures: 1, lastPod: result.Lost},
		{name: "a result of another pod of the same name does not count",
			in: with(asked(running(pod("a", "n1", "")), "n1"), "a", podReading{
				uid: "stranger", Reading: measured.Reading}),
			phase: v1alpha1.RunWaiting, create: "-", failures: 1, lastPod: result.Lost},
		{name: "no attempt before its time", in: at(asked(waitingRun, "n1", "n2"), firstRetry-time.Second),
			phase: v1alpha1.RunWaiting, create: "-", failures: 1, lastPod: result.Failed},
		{name: "the next attempt prefers a node where nothing failed", in: at(asked(waitingRun, "n1", "n2"), firstRetry),
			phase: v1alpha1.RunWaiting, create: "n2", failures: 1, lastPod: result.Failed},
		{name: "a run with a result does not insist on the second for ever", in: with(asked(contentRun, "n1", "n2"), "d", ended),
			phase: v1alpha1.RunFinished, create: "-", failures: 3, lastPod: result.Failed},
		{name: "a finished run stays finished before the interval ends", in: at(asked(finishedRun, "n1"), 8*time.Minute),
			phase: v1alpha1.RunFinished, create: "-", lastPod: result.Measured},
		{name: "the next run begins after the interval", in: at(asked(finishedRun, "n1"), 12*time.Minute),
			phase: v1alpha1.RunWaiting, begun: true, create: "n1"},
		{name: "what is asked for anew supersedes a run", in: with(asked(otherRun, "n1"), "a", podReading{live: true}),
			phase: v1alpha1.RunWaiting, begun: true, create: "n1", remove: 1},
		{name: "a request supersedes a run", in: with(requested, "a", podReading{live: true}),
			phase: v1alpha1.RunWaiting, begun: true, create: "n1", remove: 1},
		{name: "a run waits while its target is gone", in: at(asked(waitingRun), time.Hour),
			phase: v1alpha1.RunWaiting, create: "-", failures: 1, lastPod: result.Failed},
		{name: "a run is content when the other node is gone", in: asked(running(pod("a", "n1", result.Measured))),
			phase: v1alpha1.RunFinished, create: "-", lastPod: result.Measured},
	} {
		t.Run(test.name, func(t *testing.T) {
			step := advance(test.in)
			if test.phase == "" {
				if step.run != nil || step.create != nil {
					t.Fatalf("run %+v create %+v, want none", step.run, step.create)
				}
				return
			}
			if step.run.Phase != test.phase || step.begun != test.begun || step.run.Failures != test.failures {
				t.Errorf("phase %s begun %t failures %d, want %s %t %d",
					step.run.Phase, step.begun, step.run.Failures, test.phase, test.begun, test.failures)
			}
			created := "-"
			if step.create != nil {
				created = step.create.Node
			}
			if created != test.create {
				t.Errorf("creates on %q, want %q", created, test.create)
			}
			if len(step.remove) != test.remove {
				t.Errorf("removes %v, want %d", step.remove, test.remove)
			}
			if pods := step.run.Pods; len(pods) > 0 && pods[len(pods)-1].Outcome != string(test.lastPod) {
				t.Errorf("last pod %+v, want outcome %q", pods[len(pods)-1], test.lastPod)
			}
			again := advance(test.in)
			if again.run.ID != step.run.ID || again.create != nil && *again.create != *step.create {
				t.Errorf("not the same again: %+v, then %+v", step, again)
			}
		})
	}
}

// While a link cannot be measured its due time passes; a watch tells when it can be.
func TestNobodyIsWokenForALinkInTrouble(t *testing.T) {
	finished := running(pod("a", "n1", result.Measured))
	finished.Phase = v1alpha1.RunFinished
	comesIn := with(asked(running(pod("a", "n1", ""))), "a",
		podReading{Reading: probepod.Reading{Finished: true, Outcome: result.Measured, Result: &result.Result{}}})
	for name, in := range map[string]runInput{"finished": asked(finished), "a result comes in": comesIn} {
		for _, after := range []time.Duration{0, time.Hour} {
			if step := advance(at(in, after)); !step.wake.IsZero() {
				t.Errorf("%s: wakes at %s after %s", name, step.wake, after)
			}
		}
	}
}

// A world in which pods end in any way, and the operator dies in any step, between any act and the record of it.
func TestRunsSurviveCrashes(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 1))
		type living struct {
			uid     types.UID
			node    string
			reading probepod.Reading
		}
		world := map[string]*living{}
		everCreated := map[string]int{}
		var recorded *v1alpha1.ProbeRunStatus
		results := 0
		now := begin
		finished := map[string]bool{}
		for step := range 300 {
			peaceful := step >= 250 // then every run must come to its end
			now = now.Add(time.Duration(random.IntN(40)+1) * time.Second)
			if peaceful {
				now = now.Add(10 * time.Minute)
			}
			in := asked(recorded, "n1", "n2", "n3")
			in.now = now
			for name, p := range world {
				in.pods[name] = podReading{uid: p.uid, node: p.node, live: !p.reading.Finished, Reading: p.reading}
			}
			next := advance(in)
			for _, gone := range next.remove {
				delete(world, gone.Name)
			}
			if !peaceful && random.IntN(5) == 0 {
				continue // dies before it creates
			}
			if next.create != nil {
				name := next.create.Name
				if world[name] == nil {
					everCreated[name]++
					world[name] = &living{uid: types.UID(fmt.Sprintf("%s#%d", name, everCreated[name])), node: next.create.Node}
				}
				if !peaceful && random.IntN(5) == 0 {
					continue // dies before it records
				}
				next.created(world[name].uid, now)
			}
			recorded = next.run
			if peaceful && recorded.Phase == v1alpha1.RunFinished {
				finished[recorded.ID] = true
			}
			live := 0
			for _, p := range world {
				if !p.reading.Finished {
					live++
				}
			}
			if live > 1 {
				t.Fatalf("seed %d: %d pods of one link live at once", seed, live)
			}
			for name, p := range world {
				fate := random.IntN(6)
				switch {
				case p.reading.Finished:
				case peaceful || fate == 0:
					results++ // as many connects as results, so that one that counts twice shows
					p.reading = probepod.Reading{Finished: true, Outcome: result.Measured, Result: connecting(results, 0)}
				case fate == 1:
					p.reading = probepod.Reading{Finished: true, Outcome: result.Failed, Cause: "Evicted"}
				case fate == 2:
					delete(world, name) // drained
				}
			}
			counted := map[int32]bool{}
			for _, c := range connectsIn(recorded) {
				if counted[c.Connects] {
					t.Fatalf("seed %d: a result counts twice", seed)
				}
				counted[c.Connects] = true
			}
			if len(recorded.Pods) > podsRemembered {
				t.Fatalf("seed %d: %d pods in the status", seed, len(recorded.Pods))
			}
		}
		for name, times := range everCreated {
			if times > 1 {
				t.Errorf("seed %d: pod %s was created %d times", seed, name, times)
			}
		}
		if len(finished) == 0 {
			t.Errorf("seed %d: no run ever finished", seed)
		}
	}
}

func TestBackoff(t *testing.T) {
	for failures, want := range map[int32]time.Duration{
		1: 30 * time.Second, 2: time.Minute, 3: 2 * time.Minute, 6: 16 * time.Minute, 7: 30 * time.Minute, 1000: 30 * time.Minute,
	} {
		if got := backoff(failures); got != want {
			t.Errorf("backoff(%d) = %s, want %s", failures, got, want)
		}
	}
}

func TestDueAfter(t *testing.T) {
	seen := map[time.Time]bool{}
	for i := range 100 {
		run := running()
		run.ID = fmt.Sprintf("abc123-%08d", i)
		due := dueAfter("uid", 10*time.Minute, run)
		if after := due.Sub(begin); after < 9*time.Minute-time.Second || after > 11*time.Minute {
			t.Errorf("run %d is due after %s", i, after)
		}
		if again := dueAfter("uid", 10*time.Minute, run); again != due {
			t.Errorf("run %d is due at %s, then at %s", i, due, again)
		}
		seen[due] = true
	}
	if len(seen) < 20 {
		t.Errorf("100 runs are due at %d different times only", len(seen))
	}
}

func TestAFailedRunRemembersItsResult(t *testing.T) {
	run := running(pod("first", "n1", result.Measured))
	for i := range 20 {
		run.Pods = append(run.Pods, pod(fmt.Sprint(i), "n2", result.Failed))
	}
	step := runStep{run: run}
	step.forget()
	if len(step.run.Pods) != podsRemembered || step.run.Pods[0].Name != "first" || step.run.Pods[podsRemembered-1].Name != "19" {
		t.Errorf("remembered %+v", step.run.Pods)
	}
}
