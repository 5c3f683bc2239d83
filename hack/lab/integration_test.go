//go:build integration

package main

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// These tests start and stop real labs, so they need root, the programs (built when missing, which takes minutes) and
// a machine without a lab:
//
//	go -C hack/lab test -tags integration -timeout 30m .

// testLab runs the lab's commands as a person would.
type testLab struct {
	t       *testing.T
	layout  layout
	program string
}

func newTestLab(t *testing.T) *testLab {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("the lab's test needs root, and CI must not skip it")
		}
		t.Skip("the lab's test needs root")
	}
	l, err := findLayout()
	if err != nil {
		t.Fatal(err)
	}
	lab := &testLab{t: t, layout: l, program: filepath.Join(t.TempDir(), "lab")}
	lab.goBuild(".", lab.program)
	if output, err := lab.try("check-clean"); err != nil {
		t.Fatalf("a lab is on this machine; stop it with `down`, then test again:\n%s", output)
	}
	lab.mustRun("build")
	t.Cleanup(func() { lab.mustRun("down") })
	return lab
}

func (lab *testLab) goBuild(target, output string) {
	lab.t.Helper()
	cmd := exec.CommandContext(lab.t.Context(), "go", "build", "-o", output, target)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if printed, err := cmd.CombinedOutput(); err != nil {
		lab.t.Fatalf("build %s: %v\n%s", target, err, printed)
	}
}

func (lab *testLab) try(arguments ...string) (string, error) {
	output, err := exec.Command(lab.program, arguments...).CombinedOutput()
	return string(output), err
}

func (lab *testLab) mustRun(arguments ...string) string {
	lab.t.Helper()
	output, err := lab.try(arguments...)
	if err != nil {
		lab.t.Fatalf("lab %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return output
}

func (lab *testLab) mustFail(want string, arguments ...string) {
	lab.t.Helper()
	output, err := lab.try(arguments...)
	if err == nil || !strings.Contains(output, want) {
		lab.t.Fatalf("lab %s: error %v; want one that says %q, got:\n%s", strings.Join(arguments, " "), err, want, output)
	}
}

func (lab *testLab) kubectl(arguments ...string) string {
	lab.t.Helper()
	cmd := exec.CommandContext(lab.t.Context(), lab.layout.program("kubectl"),
		append([]string{"--kubeconfig=" + lab.layout.kubeconfig()}, arguments...)...)
	output, err := cmd.CombinedOutput()
	if err != nil {
		lab.t.Fatalf("kubectl %s: %v\n%s", strings.Join(arguments, " "), err, output)
	}
	return string(output)
}

// downAndClean stops the lab and fails if anything of it is left.
func (lab *testLab) downAndClean() {
	lab.t.Helper()
	lab.mustRun("down")
	lab.mustRun("check-clean")
	if !absent(lab.layout.kubeconfig()) {
		lab.t.Errorf("%s is left", lab.layout.kubeconfig())
	}
}

// recorded returns the process that the running lab wrote down under the name.
func (lab *testLab) recorded(name string) processID {
	lab.t.Helper()
	r, err := readRecord()
	if err != nil || r == nil {
		lab.t.Fatalf("read the record: %v, %v", r, err)
	}
	found, err := r.find(name)
	if err != nil {
		lab.t.Fatal(err)
	}
	return found
}

func TestLabRunsPodsAndLeavesNothing(t *testing.T) {
	lab := newTestLab(t)
	smoke := filepath.Join(t.TempDir(), "smoke")
	lab.goBuild("./smoke", smoke)
	image := filepath.Join(t.TempDir(), "smoke.tar")
	lab.mustRun("image", "--binary", smoke, "--name", "connpolicy.dev/lab/smoke:v1", "--entrypoint", "/smoke", "--output", image)
	before := kernelValues(t)
	for range 2 {
		lab.mustFail("no lab is running", "status")
		lab.mustRun("up")
		if again := lab.mustRun("up"); !strings.Contains(again, "running already") {
			t.Errorf("a second up does not find the lab:\n%s", again)
		}
		lab.mustRun("status")
		lab.mustRun("load", image)
		checkSmoke(lab)
		if during := kernelValues(t); during != before {
			t.Errorf("the lab changed settings of the whole machine: before %s, now %s", before, during)
		}
		lab.downAndClean()
		lab.mustRun("down") // nothing to do is no error
	}
}

// checkSmoke has a client on each node ask a server by its Service's name. The answer holds the server's sysctl.
func checkSmoke(lab *testLab) {
	lab.t.Helper()
	lab.kubectl("apply", "--filename", filepath.Join("testdata", "smoke.yaml"))
	lab.kubectl("--namespace=smoke", "wait", "--for=condition=complete", "--timeout=60s", "job/client-1", "job/client-2")
	const ports = "20000\t60999"
	for _, job := range []string{"job/client-1", "job/client-2"} {
		if log := lab.kubectl("--namespace=smoke", "logs", job); !strings.Contains(log, ports) {
			lab.t.Errorf("%s did not see the server's range of ports %q:\n%s", job, ports, log)
		}
	}
	proxied := lab.kubectl("get", "--raw", "/api/v1/namespaces/smoke/pods/server:8080/proxy/")
	if !strings.Contains(proxied, ports) {
		lab.t.Errorf("the API server's proxy to the pod answers %q", proxied)
	}
	// As somebody else: such a one may not do what the administrator may.
	cmd := exec.CommandContext(lab.t.Context(), lab.layout.program("kubectl"), "--kubeconfig="+lab.layout.kubeconfig(),
		"auth", "can-i", "list", "secrets", "--as=somebody")
	if answer, err := cmd.Output(); err == nil || strings.TrimSpace(string(answer)) != "no" {
		lab.t.Errorf("kubectl --as=somebody auth can-i list secrets answers %q, %v; want no", answer, err)
	}
}

// kernelValues returns the settings of the whole machine that a kubelet would change.
func kernelValues(t *testing.T) string {
	t.Helper()
	var values bytes.Buffer
	for _, setting := range slices.Sorted(maps.Keys(kernelSettings())) {
		value, err := os.ReadFile(filepath.Join("/proc/sys", setting))
		if err != nil {
			t.Fatal(err)
		}
		values.WriteString(setting + "=" + string(value))
	}
	return values.String()
}

func TestInterruptedUpLeavesNothing(t *testing.T) {
	lab := newTestLab(t)
	for _, delay := range []time.Duration{50 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 4 * time.Second, 6 * time.Second} {
		output, err := upWithSignal(lab, delay, syscall.SIGINT)
		if err == nil {
			t.Fatalf("up after SIGINT at %s succeeded:\n%s", delay, output)
		}
		if left, err := lab.try("check-clean"); err != nil {
			t.Fatalf("left after SIGINT at %s: %s\nup said:\n%s", delay, left, output)
		}
	}
}

func TestDownAfterUpWasKilled(t *testing.T) {
	lab := newTestLab(t)
	for _, delay := range []time.Duration{time.Second, 4 * time.Second} {
		if output, err := upWithSignal(lab, delay, syscall.SIGKILL); err == nil {
			t.Fatalf("up survived SIGKILL at %s:\n%s", delay, output)
		}
		lab.mustFail("with `down`", "up")
		lab.downAndClean()
	}
}

// upWithSignal starts a lab, sends the signal after the delay and returns how `up` ended.
func upWithSignal(lab *testLab, delay time.Duration, signal os.Signal) (string, error) {
	lab.t.Helper()
	var output bytes.Buffer
	cmd := exec.Command(lab.program, "up")
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		lab.t.Fatal(err)
	}
	time.Sleep(delay)
	if err := cmd.Process.Signal(signal); err != nil {
		lab.t.Fatal(err)
	}
	err := cmd.Wait()
	return output.String(), err
}

func TestDownAfterPartsWereKilled(t *testing.T) {
	lab := newTestLab(t)
	lab.mustRun("up")
	for _, name := range []string{"kubelet-node-1", "containerd-node-2", "etcd"} {
		if err := syscall.Kill(lab.recorded(name).PID, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Fatal(err)
		}
	}
	time.Sleep(500 * time.Millisecond)
	lab.mustFail("kubelet-node-1 has ended", "status")
	lab.mustFail("stop it with `down`", "up")
	lab.mustFail("containerd-node-2 has ended", "exec", "node-2", "true")
	lab.downAndClean()
}
