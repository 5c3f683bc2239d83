package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// A node has directories of its own in the places where its programs expect them: /run, /var/log and /var/lib. Some
// paths below those are fixed in the programs, two nodes on one machine would share them, and they would stay behind.
func nodeState(n node, part string) string { return filepath.Join(stateDir, n.name, part) }

// nodeConfig is where a node's configuration lies, seen alike from the machine and from the node.
func nodeConfig(n node, file string) string { return filepath.Join(runtimeDir, n.name, file) }

// nodeProgram is the path of a built program inside a node.
func nodeProgram(name string) string { return filepath.Join(nodeBinDir, name) }

// nodeView shows the node's own directories in place of the machine's, with the lab's runtime directory and
// programs among them.
func nodeView(l layout, n node) *view {
	run := nodeState(n, "run")
	return &view{
		Separate: true,
		Detach:   []string{"/run", "/var/log", "/var/lib"},
		Binds: []bind{
			{Source: runtimeDir, Target: filepath.Join(run, filepath.Base(runtimeDir))},
			{Source: l.bin(), Target: filepath.Join(run, filepath.Base(runtimeDir), "bin")},
			{Source: run, Target: "/run"},
			{Source: nodeState(n, "log"), Target: "/var/log"},
			{Source: nodeState(n, "lib"), Target: "/var/lib"}, // last: it hides the sources of the others
		},
	}
}

// prepareNodes writes the configuration of every node and makes its directories.
func prepareNodes(all []node) error {
	if err := os.MkdirAll(nodeBinDir, 0o755); err != nil {
		return fmt.Errorf("make the place where nodes see programs: %w", err)
	}
	for _, n := range all {
		for _, dir := range []string{
			nodeState(n, filepath.Join("run", filepath.Base(runtimeDir))), nodeState(n, "log"), nodeState(n, "lib"),
		} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				return fmt.Errorf("make a directory of %s: %w", n.name, err)
			}
		}
		for _, write := range []func(node) error{writeContainerdConfig, writeKubeletConfig, writeKubeProxyConfig} {
			if err := write(n); err != nil {
				return err
			}
		}
	}
	return nil
}

// startNode starts what runs on a node: containerd first, in whose mount namespace the kubelet joins it, and the
// kubelet when containerd answers and has the pause image.
func startNode(ctx context.Context, l *launcher, n node) error {
	if err := createCgroup(l.hierarchies, podsCgroup(n)); err != nil {
		return err
	}
	containerd, err := startContainerd(ctx, l, n)
	if err != nil {
		return err
	}
	if err := loadImage(ctx, l, n, l.layout.pauseImage()); err != nil {
		return err
	}
	if err := startKubelet(l, n, containerd); err != nil {
		return err
	}
	return startKubeProxy(l, n)
}

// startContainerd returns when containerd listens.
func startContainerd(ctx context.Context, l *launcher, n node) (processID, error) {
	name := containerdName(n)
	id, err := l.start(name, surroundings{NetworkNamespace: n.name, View: nodeView(l.layout, n)},
		[]string{nodeProgram("containerd"), "--config=" + nodeConfig(n, "containerd.toml"), "--log-level=warn"})
	if err != nil {
		return processID{}, err
	}
	const patience = 30 * time.Second
	socket := nodeState(n, filepath.Join("run", "containerd", "containerd.sock"))
	return id, l.await(ctx, name, patience, func(context.Context) (bool, error) {
		_, err := os.Stat(socket)
		if errors.Is(err, fs.ErrNotExist) {
			return false, nil
		}
		return err == nil, err
	})
}

func containerdName(n node) string { return "containerd-" + n.name }

func writeContainerdConfig(n node) error {
	cniDir := nodeConfig(n, "cni")
	err := renderFile(nodeConfig(n, "containerd.toml"), "containerd.toml", struct{ PauseImage, Bin, CNIConfigDir string }{
		pauseImageName, nodeBinDir, cniDir,
	})
	if err != nil {
		return err
	}
	return renderFile(filepath.Join(cniDir, "lab.conflist"), "cni.conflist", struct{ PodsCIDR string }{n.podsCIDR})
}
