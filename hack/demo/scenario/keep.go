package scenario

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/connpolicy/connpolicy/hack/demo/cluster"
)

// Keep writes what the demonstration leaves behind into a directory: the three objects and the summary.
func (s *Scenario) Keep(ctx context.Context, directory, summary string) error {
	for name, object := range map[string]string{
		"policy.yaml": "connpol/" + policyName,
		"report.yaml": "connreport/" + reportName,
		"tuning.yaml": "conntune/" + tuningName,
	} {
		yaml, err := s.Session.Kubectl.Output(ctx, "-n", Namespace, "get", object, "-o", "yaml")
		if err != nil {
			return err
		}
		if err := write(directory, name, yaml); err != nil {
			return err
		}
	}
	return write(directory, "summary.txt", summary)
}

// Diagnose writes into a directory what helps to find out why a demonstration failed. Where something cannot be had its
// file says why.
func Diagnose(ctx context.Context, kubectl cluster.Kubectl, directory string) error {
	var failures []error
	for name, args := range map[string][]string{
		"manager.log":          {"-n", cluster.OperatorNamespace, "logs", cluster.ManagerDeployment, "--all-containers", "--tail=-1"},
		"manager-previous.log": {"-n", cluster.OperatorNamespace, "logs", cluster.ManagerDeployment, "--previous"},
		"events.txt":           {"get", "events", "--all-namespaces", "--sort-by=.lastTimestamp"},
		"pods.txt":             {"get", "pods", "--all-namespaces", "-o", "wide"},
		"pods.yaml":            {"-n", Namespace, "get", "pods", "-o", "yaml"},
		"connpolicy.yaml":      {"get", "connpolicy", "--all-namespaces", "-o", "yaml"},
		"server.log":           {"-n", Namespace, "logs", "deployment/server", "--tail=200"},
		"client.log":           {"-n", Namespace, "logs", "--selector=app.kubernetes.io/name=client", "--container=client", "--prefix", "--tail=200"},
	} {
		output, err := kubectl.Output(ctx, args...)
		if err != nil {
			output += err.Error() + "\n"
		}
		failures = append(failures, write(directory, name, output))
	}
	return errors.Join(failures...)
}

// Clear removes what an earlier demonstration left in the directory, so that nothing old is taken for new.
func Clear(directory string) error {
	if err := os.RemoveAll(directory); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the results of an earlier demonstration: %w", err)
	}
	return nil
}

func write(directory, name, content string) error {
	if err := os.MkdirAll(directory, 0o755); err != nil {
		return fmt.Errorf("make the directory for the results: %w", err)
	}
	if err := os.WriteFile(filepath.Join(directory, name), []byte(content), 0o644); err != nil {
		return fmt.Errorf("keep the results: %w", err)
	}
	return nil
}
