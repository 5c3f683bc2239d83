package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSelectPrograms(t *testing.T) {
	all := programs()
	if got, err := selectPrograms(all, nil); err != nil || len(got) != len(all) {
		t.Errorf("no names: %d programs, %v; want all %d", len(got), err, len(all))
	}
	got, err := selectPrograms(all, []string{"kubectl", "etcd"})
	if err != nil || len(got) != 2 || got[0].name != "kubectl" || got[1].name != "etcd" {
		t.Errorf("two names: %+v, %v", got, err)
	}
	if _, err := selectPrograms(all, []string{"kubeadm"}); err == nil || !strings.Contains(err.Error(), "choose from etcd, ") {
		t.Errorf("an unknown name: %v; want an error with those known", err)
	}
}

func TestStampChangesWithWhatTheBinaryDependsOn(t *testing.T) {
	base := program{name: "a", importPath: "x/a", linkerFlags: "-s"}
	stamp := stampOf([]byte("go1"), base)
	if again := stampOf([]byte("go1"), base); again != stamp {
		t.Error("the same input gives another stamp")
	}
	flags, tags, cgo := base, base, base
	flags.linkerFlags, tags.tags, cgo.cgo = "-w", "seccomp", true
	for name, other := range map[string]string{
		"dependencies": stampOf([]byte("go2"), base), "linker flags": stampOf([]byte("go1"), flags),
		"tags": stampOf([]byte("go1"), tags), "cgo": stampOf([]byte("go1"), cgo),
	} {
		if other == stamp {
			t.Errorf("other %s give the same stamp", name)
		}
	}
}

func TestUpToDateNeedsStampAndBinary(t *testing.T) {
	l := layout{root: t.TempDir()}
	p := program{name: "a"}
	write := func(path, content string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if upToDate(l, p, "s") {
		t.Error("up to date without anything built")
	}
	write(filepath.Join(l.stamps(), "a"), "s")
	if upToDate(l, p, "s") {
		t.Error("up to date without the binary")
	}
	write(l.program("a"), "binary")
	if !upToDate(l, p, "s") {
		t.Error("not up to date with stamp and binary")
	}
	if upToDate(l, p, "other") {
		t.Error("up to date with another stamp")
	}
}

// The versions are told to the linker, since a build of a dependency does not know its own.
func TestVersionsAreThoseOfTheModule(t *testing.T) {
	content, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for module, version := range map[string]string{
		"k8s.io/kubernetes": kubernetesVersion, "github.com/containerd/containerd/v2": containerdVersion,
	} {
		if !strings.Contains(string(content), "\t"+module+" "+version) {
			t.Errorf("go.mod has another version of %s than the %s that the programs will report", module, version)
		}
	}
}

func TestEveryProgramIsATool(t *testing.T) {
	content, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range programs() {
		if !strings.HasPrefix(p.importPath, labModule) && !strings.Contains(string(content), "\t"+p.importPath+"\n") {
			t.Errorf("go.mod does not pin %s as a tool", p.importPath)
		}
	}
}
