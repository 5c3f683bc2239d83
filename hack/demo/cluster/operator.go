package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// OperatorNamespace is where dist/install-apply.yaml puts the operator; ManagerDeployment is its one workload.
const (
	OperatorNamespace = "connpolicy-system"
	ManagerDeployment = "deployment/connpolicy-manager"
)

// imageFiles returns the files that `make images` wrote.
func (c Checkout) imageFiles() ([]string, error) {
	files := []string{c.Path("bin", "images", "manager.tar"), c.Path("bin", "images", "probe.tar")}
	for _, file := range files {
		_, err := os.Stat(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no %s: run `make images` first", file)
		}
		if err != nil {
			return nil, fmt.Errorf("look for an image: %w", err)
		}
	}
	return files, nil
}

// InstallOperator applies the manifest that a user would apply and waits until the manager is available. Where the lab
// ran before, the manager is restarted, so that it is the one that was built last.
func InstallOperator(ctx context.Context, checkout Checkout, kubectl Kubectl, labRanBefore bool) error {
	// Somebody may have tried something out in a lab that ran before; the manifest has the last word.
	if _, err := kubectl.Output(ctx, "apply", "--server-side", "--force-conflicts", "-f", checkout.Path("dist", "install-apply.yaml")); err != nil {
		return fmt.Errorf("install the operator: %w", err)
	}
	if labRanBefore {
		if _, err := kubectl.Output(ctx, "-n", OperatorNamespace, "rollout", "restart", ManagerDeployment); err != nil {
			return fmt.Errorf("restart the manager: %w", err)
		}
	}
	if _, err := kubectl.Output(ctx, "-n", OperatorNamespace, "rollout", "status", ManagerDeployment, "--timeout=120s"); err != nil {
		return fmt.Errorf("wait for the manager: %w", err)
	}
	return nil
}
