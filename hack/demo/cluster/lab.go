package cluster

import (
	"context"
	"fmt"
	"io"
	"os"
)

// Lab is the cluster that hack/lab runs on this machine.
type Lab struct {
	checkout Checkout
	out      io.Writer
}

// NewLab builds the lab's own program, and shows on out what it says when it is run.
func NewLab(ctx context.Context, checkout Checkout, out io.Writer) (Lab, error) {
	lab := Lab{checkout: checkout, out: out}
	if err := run(ctx, out, "go", "-C", checkout.Path("hack", "lab"), "build", "-o", lab.program(), "."); err != nil {
		return Lab{}, fmt.Errorf("build the lab's program: %w", err)
	}
	return lab, nil
}

func (l Lab) program() string { return l.checkout.Path("bin", "lab", "lab") }

// Kubeconfig is the path of the administrator's kubeconfig. It exists while the lab runs.
func (l Lab) Kubeconfig() string { return l.checkout.Path("bin", "lab", "kubeconfig") }

// Running tells whether all of the lab is up.
func (l Lab) Running(ctx context.Context) (bool, error) {
	code, err := exitCode(run(ctx, io.Discard, l.program(), "status"))
	if err != nil {
		return false, fmt.Errorf("ask whether the lab runs: %w", err)
	}
	return code == 0, nil
}

// Up starts the lab and waits until its nodes are ready. If that fails nothing of it is left behind.
func (l Lab) Up(ctx context.Context) error {
	if os.Geteuid() != 0 {
		return fmt.Errorf("the lab makes network namespaces and mounts: run this as root")
	}
	return run(ctx, l.out, l.program(), "up")
}

// Down stops the lab and removes all that it made.
func (l Lab) Down(ctx context.Context) error { return run(ctx, l.out, l.program(), "down") }

// Load puts image files into the container runtimes of all nodes.
func (l Lab) Load(ctx context.Context, files ...string) error {
	return run(ctx, l.out, l.program(), append([]string{"load"}, files...)...)
}
