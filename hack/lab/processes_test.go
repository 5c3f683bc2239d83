package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

func TestParseStat(t *testing.T) {
	rest := " 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 9 0 123456 1000000 100"
	for name, program := range map[string]string{
		"plain": "sleep", "with blanks and parentheses": "a) R (b c",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat("42 (" + program + ") S" + rest)
			if err != nil {
				t.Fatal(err)
			}
			if want := (processStat{state: "S", startTicks: 123456}); got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
	for _, broken := range []string{"", "42 (sleep) S 1 2", "42 (sleep) S 1 42 42 0 -1 4 1 2 3 4 5 6 7 8 20 0 9 0 soon 1"} {
		if got, err := parseStat(broken); err == nil {
			t.Errorf("%q: got %+v, want an error", broken, got)
		}
	}
}

func TestAliveKnowsARecycledNumber(t *testing.T) {
	own, err := identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	other := processID{PID: own.PID, StartTicks: own.StartTicks - 1}
	for id, want := range map[processID]bool{own: true, other: false} {
		if alive, err := id.alive(); err != nil || alive != want {
			t.Errorf("%+v: alive is %v, %v; want %v", id, alive, err, want)
		}
	}
}

func TestAliveKnowsAnEndedProcess(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := id.alive(); err != nil || !alive {
		t.Errorf("before it ends: %v, %v", alive, err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("the killed process ended well")
	}
	if alive, err := id.alive(); err != nil || alive {
		t.Errorf("after it ended: %v, %v", alive, err)
	}
}

// A number that was listed as the lab's and belongs to another process by now must not be hit.
// A process may end between the opening and the reading of its file.
func TestAProcessThatEndsWhileItIsReadIsGone(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var files []*os.File
	for _, name := range []string{"stat", "cgroup"} {
		file, err := os.Open(filepath.Join("/proc", strconv.Itoa(cmd.Process.Pid), name))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		files = append(files, file)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err == nil {
		t.Error("a killed process ended well")
	}
	for _, file := range files {
		if _, err := file.Read(make([]byte, 100)); !gone(err) {
			t.Errorf("read %s of an ended process: %v", file.Name(), err)
		}
	}
	if gone(nil) || gone(os.ErrPermission) {
		t.Error("what is there is gone")
	}
}

func TestKillMemberSparesOthers(t *testing.T) {
	cmd := exec.Command("sleep", "60")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Kill(); err != nil {
			t.Error(err)
		}
		cmd.Wait() //nolint:errcheck // it was killed
	})
	if err := killMember(cmd.Process.Pid, labCgroup); err != nil {
		t.Fatal(err)
	}
	id, err := identify(cmd.Process.Pid)
	if err != nil {
		t.Fatal(err)
	}
	if alive, err := id.alive(); err != nil || !alive {
		t.Errorf("a process outside of the lab: alive is %v, %v", alive, err)
	}
}

func TestInCgroup(t *testing.T) {
	v1 := "9:name=systemd:/\n8:pids:/connpolicy-lab/programs/etcd\n4:memory:/other\n0::/\n"
	for name, test := range map[string]struct {
		membership, cgroup string
		want               bool
	}{
		"v1 below":           {v1, "connpolicy-lab", true},
		"v1 itself":          {v1, "connpolicy-lab/programs/etcd", true},
		"v1 sibling":         {v1, "connpolicy-lab/node-1", false},
		"v2 below":           {"0::/connpolicy-lab/node-1/kubepods/pod1\n", "connpolicy-lab/node-1", true},
		"longer name":        {"0::/connpolicy-laboratory\n", "connpolicy-lab", false},
		"same name deeper":   {"0::/user/connpolicy-lab\n", "connpolicy-lab", false},
		"root":               {"0::/\n", "connpolicy-lab", false},
		"nothing to be read": {"", "connpolicy-lab", false},
	} {
		if got := inCgroup(test.membership, test.cgroup); got != test.want {
			t.Errorf("%s: got %v", name, got)
		}
	}
}

func TestHierarchies(t *testing.T) {
	mounts, err := parseMountInfo(strings.Join([]string{
		`22 1 0:20 / /proc rw,relatime shared:5 - proc proc rw`,
		`30 22 0:26 / /sys/fs/cgroup/cpuset rw,relatime - cgroup cgroup rw,cpuset`,
		`31 22 0:27 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids`,
		`32 22 0:28 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw`,
	}, "\n"))
	if err != nil {
		t.Fatal(err)
	}
	got := hierarchies(mounts)
	want := []hierarchy{
		{mountPoint: "/sys/fs/cgroup/cpuset", cpuset: true},
		{mountPoint: "/sys/fs/cgroup/pids"},
		{mountPoint: "/sys/fs/cgroup/unified", v2: true},
	}
	if len(got) != len(want) {
		t.Fatalf("got %+v, want %+v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}

func TestMountsBelow(t *testing.T) {
	mounts, err := parseMountInfo("1 0 8:1 / / rw - ext4 /dev/a rw\n" +
		"2 1 0:5 / /run/lab rw - tmpfs none rw\n" +
		"3 2 0:6 / /run/lab/a\\040b rw - tmpfs none rw\n" +
		"4 1 0:7 / /run/laboratory rw - tmpfs none rw\n" +
		"5 2 0:8 net:[1] /run/lab/c rw - nsfs nsfs rw\n")
	if err != nil {
		t.Fatal(err)
	}
	got := strings.Join(mountsBelow(mounts, "/run/lab"), "|")
	if want := "/run/lab/c|/run/lab/a b"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if mounts, err := parseMountInfo("no mount at all\n"); err == nil {
		t.Errorf("got %+v from a line of unknown form, want an error", mounts)
	}
}
