package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// up starts the lab. When one runs already it only says so; when a start fails or is interrupted, nothing is left.
func up(ctx context.Context, l layout) (err error) {
	unlock, err := lock()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	running, err := findRunning(ctx, l)
	if err != nil {
		return err
	}
	if running {
		say("the lab is running already")
		sayHowToUse(l)
		return nil
	}
	if err := ensureDebianPackages(ctx, []string{"nftables"}); err != nil { // kube-proxy calls nft
		return err
	}
	if err := buildPrograms(ctx, l, nil); err != nil {
		return err
	}
	begin := time.Now()
	if err := startAll(ctx, l); err != nil {
		say("the start failed or was interrupted: removing what was started")
		return errors.Join(err, teardown())
	}
	say("the lab is up after %.0f s", time.Since(begin).Seconds())
	sayHowToUse(l)
	return nil
}

// findRunning tells whether a whole lab of this checkout runs. Anything between that and nothing is an error, which
// says how to get out of it: up repairs nothing.
func findRunning(ctx context.Context, l layout) (bool, error) {
	r, err := readRecord()
	if err != nil {
		return false, err
	}
	if r == nil {
		left, err := leftovers()
		if err == nil && len(left) > 0 {
			err = fmt.Errorf("parts of an earlier lab are left (%s): remove them with `down`, then start again", left[0])
		}
		return false, err
	}
	if r.Root != l.root {
		return false, fmt.Errorf("a lab that was started from %s is on this machine: stop it with `down` first", r.Root)
	}
	report, err := inspect(ctx, l, r)
	if err != nil {
		return false, err
	}
	if problems := report.problems(); len(problems) > 0 {
		return false, fmt.Errorf("the lab runs only in part (%s): stop it with `down`, then start it again", problems[0])
	}
	return true, nil
}

func startAll(ctx context.Context, l layout) error {
	r := &record{Root: l.root, Started: time.Now()}
	if err := r.save(); err != nil {
		return err
	}
	if err := os.MkdirAll(l.logs(), 0o755); err != nil {
		return fmt.Errorf("make the directory for logs: %w", err)
	}
	launch, err := newLauncher(l, r)
	if err != nil {
		return err
	}
	all := nodes()
	say("making keys, configuration and network")
	for _, step := range []func() error{
		func() error { return writePauseImage(l) },
		func() error { return writePKI(all) },
		func() error { return writeKubeconfig(l.kubeconfig(), controlOutsideAddress, "admin") },
		func() error { return prepareNodes(all) },
		func() error { return createNetwork(all) },
	} {
		if err := errors.Join(ctx.Err(), step()); err != nil {
			return err
		}
	}
	api, err := newAPIClient()
	if err != nil {
		return err
	}
	say("starting the control plane")
	if err := startControlPlane(ctx, launch, api); err != nil {
		return err
	}
	for _, n := range all {
		say("starting %s", n.name)
		if err := startNode(ctx, launch, n); err != nil {
			return fmt.Errorf("start %s: %w", n.name, err)
		}
	}
	say("waiting for cluster DNS and the nodes")
	if err := awaitCluster(ctx, launch, api, all); err != nil {
		return err
	}
	if err := forgetClosedConnections(ctx, launch, all); err != nil {
		return err
	}
	r.Complete = true
	return r.save()
}

// awaitCluster returns when pods can be made, will run, and will find each other by name.
func awaitCluster(ctx context.Context, launch *launcher, api *apiClient, all []node) error {
	const patience = 2 * time.Minute
	nodesReady := func(ctx context.Context) (bool, error) {
		readiness, err := api.nodeReadiness(ctx)
		if err != nil {
			return false, err
		}
		for _, n := range all {
			if !readiness[n.name] {
				return false, fmt.Errorf("%s is not ready", n.name)
			}
		}
		return true, nil
	}
	if err := launch.await(ctx, "cluster DNS", patience, dnsReady); err != nil {
		return err
	}
	if err := launch.await(ctx, "the nodes", patience, nodesReady); err != nil {
		return err
	}
	return launch.await(ctx, "the default service account", patience, api.serviceAccountReady)
}

func sayHowToUse(l layout) {
	fmt.Printf("export KUBECONFIG=%s\nexport PATH=%s:$PATH\n", l.kubeconfig(), l.bin())
}
