package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// kernelSettings are what the kubelet writes to /proc/sys when it starts (k8s.io/component-helpers, package sysctl).
// They are of the whole machine, which the lab must leave alone; so the kubelet is shown files that already say what
// it wants, and writes nothing.
func kernelSettings() map[string]string {
	return map[string]string{
		"vm/overcommit_memory":      "1",
		"vm/panic_on_oom":           "0",
		"kernel/panic":              "10",
		"kernel/panic_on_oops":      "1",
		"kernel/keys/root_maxkeys":  "1000000",
		"kernel/keys/root_maxbytes": "25000000",
	}
}

func kernelSettingFile(n node, setting string) string {
	return nodeConfig(n, filepath.Join("kernel", setting))
}

func kubeletView(n node) *view {
	v := &view{Private: []string{"/proc"}}
	for setting := range kernelSettings() {
		v.Binds = append(v.Binds, bind{Source: kernelSettingFile(n, setting), Target: filepath.Join("/proc/sys", setting)})
	}
	return v
}

func writeKubeletConfig(n node) error {
	certificate := "kubelet-" + n.name
	if err := writeKubeconfig(nodeConfig(n, "kubelet.kubeconfig"), controlAddress, certificate); err != nil {
		return err
	}
	for setting, value := range kernelSettings() {
		path := kernelSettingFile(n, setting)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("make a directory for kernel settings: %w", err)
		}
		if err := os.WriteFile(path, []byte(value+"\n"), 0o600); err != nil {
			return fmt.Errorf("write a kernel setting: %w", err)
		}
	}
	return renderFile(nodeConfig(n, "kubelet.yaml"), "kubelet.yaml", struct {
		Address, Authority, Certificate, Key, ClusterDomain, DNSAddress, CgroupRoot string
	}{
		n.address, certificateFile("ca"), certificateFile(certificate), keyFile(certificate),
		clusterDomain, dnsServiceAddress, podsCgroup(n),
	})
}

// startKubelet starts the kubelet in a copy of containerd's mount namespace: each sees what the other mounts, and
// only the kubelet sees its kernel settings.
func startKubelet(l *launcher, n node, containerd processID) error {
	_, err := l.start("kubelet-"+n.name,
		surroundings{NetworkNamespace: n.name, MountsOfPID: containerd.PID, View: kubeletView(n)},
		[]string{
			nodeProgram("kubelet"),
			"--config=" + nodeConfig(n, "kubelet.yaml"),
			"--kubeconfig=" + nodeConfig(n, "kubelet.kubeconfig"),
			"--hostname-override=" + n.name,
			"--node-ip=" + n.address,
		})
	return err
}
