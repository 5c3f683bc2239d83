package cluster

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
)

// Kubectl runs the kubectl that the lab built against the lab.
type Kubectl struct {
	Program    string
	Kubeconfig string
	Transcript *Transcript
}

// NewKubectl returns the lab's kubectl.
func NewKubectl(checkout Checkout, lab Lab, transcript *Transcript) Kubectl {
	return Kubectl{
		Program:    checkout.Path("bin", "lab", "bin", "kubectl"),
		Kubeconfig: lab.Kubeconfig(),
		Transcript: transcript,
	}
}

// Show runs kubectl and tells the command and its output, so that a reader could type the same.
func (k Kubectl) Show(ctx context.Context, args ...string) error {
	k.Transcript.Say("$ kubectl %s", strings.Join(args, " "))
	output, err := k.Output(ctx, args...)
	k.Transcript.Say("%s", output)
	return err
}

// Output runs kubectl and returns what it wrote to its standard output. What it wrote to its standard error is in the
// error.
func (k Kubectl) Output(ctx context.Context, args ...string) (string, error) {
	return k.run(ctx, nil, args)
}

// Apply applies a manifest that is given as text.
func (k Kubectl) Apply(ctx context.Context, manifest string, args ...string) (string, error) {
	return k.run(ctx, strings.NewReader(manifest), append([]string{"apply", "-f", "-"}, args...))
}

func (k Kubectl) run(ctx context.Context, input io.Reader, args []string) (string, error) {
	var output, complaint bytes.Buffer
	cmd := command(ctx, &output, k.Program, append([]string{"--kubeconfig", k.Kubeconfig}, args...)...)
	cmd.Stdin, cmd.Stderr = input, &complaint
	if err := cmd.Run(); err != nil {
		return output.String(), fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return output.String(), nil
}
