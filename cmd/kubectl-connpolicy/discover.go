package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/connpolicy/connpolicy/internal/discover"
	"github.com/connpolicy/connpolicy/internal/figure"
	"github.com/connpolicy/connpolicy/probes/result"
)

func (p *plugin) discover() *cobra.Command {
	var files []string
	var port int
	var image string
	c := &cobra.Command{
		Use:   "discover WORKLOAD",
		Short: "Find out what a workload connects to, and write the policy that watches over it",
		Long: `Find out what a workload (deploy/NAME, sts/NAME or ds/NAME) really connects to, and write the ConnectionPolicy that watches over
it: as YAML, with a table of the destinations in its comments, those first that take most of the workload's local ports.

What the workload's own sockets are connected to, observers in its pods tell. They are asked through the API server, with your
own rights (get on pods/proxy). Services are named where an address is one of theirs, as far as you may list them.

With -f, what 'probe observe --seconds N -o json' wrote is read instead.`,
		Example: `  kubectl connpolicy discover deploy/checkout
  kubectl connpolicy discover deploy/checkout | kubectl apply -f -
  kubectl connpolicy discover deploy/checkout -f observation.json`,
		Args:              usage(cobra.MaximumNArgs(1)),
		ValidArgsFunction: p.completeWorkload,
		RunE: func(c *cobra.Command, arguments []string) error {
			name := strings.Join(arguments, "")
			if name == "" && len(files) == 0 {
				return &usageError{c.CommandPath(), errors.New("name a workload, such as deploy/checkout")}
			}
			if len(files) > 0 {
				return p.discoverSaved(c, name, files)
			}
			return p.discoverLive(c.Context(), name, port, image)
		},
	}
	filesFlag(c, &files, "file that 'probe observe --seconds N -o json' wrote, to read in place of the observers")
	c.Flags().IntVar(&port, "observer-port", result.DefaultObserverPort, "port on which observers serve")
	c.Flags().StringVar(&image, "probe-image", "ghcr.io/connpolicy/probe:v0.1.0", "image named in the advice where no observer looks yet")
	return c
}

// discoverSaved reads observations from files, and names Services where a cluster can be asked.
func (p *plugin) discoverSaved(c *cobra.Command, name string, files []string) error {
	in := discover.Input{}
	if name != "" {
		from, err := workloadOf(name)
		if err != nil {
			return &usageError{c.CommandPath(), err}
		}
		in.From = &from
	}
	if err := p.each(files, func(file string, r io.Reader) error {
		seen, err := readObservation(r)
		if err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
		in.Seen = append(in.Seen, discover.Seen{Pod: file, Observation: seen})
		return nil
	}); err != nil {
		return err
	}
	namespace, err := p.cluster.namespace(false)
	if err != nil {
		return err
	}
	in.Namespace = namespace
	var notes []string
	if reader, err := p.cluster.client(); err == nil {
		notes = nameAddresses(c.Context(), reader, &in)
	} else {
		notes = []string{fmt.Sprintf("Addresses stay addresses, since no cluster could be asked for its Services: %v.", firstLine(err))}
	}
	return p.writeFound(in, notes)
}

// readObservation reads what `probe observe -o json` wrote, also out of a container's log, where lines of other kinds may
// stand before it.
func readObservation(r io.Reader) (result.Observation, error) {
	var seen result.Observation
	text, err := io.ReadAll(r)
	if err != nil {
		return seen, err
	}
	begin := strings.Index("\n"+string(text), "\n{")
	if begin < 0 {
		return seen, errors.New("not what 'probe observe --seconds N -o json' writes")
	}
	if err := json.NewDecoder(strings.NewReader(string(text)[begin:])).Decode(&seen); err != nil {
		return seen, fmt.Errorf("read the observation: %w", err)
	}
	if seen.Version != result.Version {
		return seen, fmt.Errorf("an observation of version %q; this program reads %q", seen.Version, result.Version)
	}
	return seen, nil
}

func (p *plugin) writeFound(in discover.Input, notes []string) error {
	found := discover.Find(in)
	if len(found.Destinations) == 0 {
		return fmt.Errorf("no connection was seen that %s opened: look again while it works", workloadName(in))
	}
	text, err := found.YAML(fmt.Sprintf("What %s in namespace %s connects to, as seen in %s. New connections and ports are those of the busiest pod, ports the most held towards one address in five minutes.",
		workloadName(in), in.Namespace, figure.Plural(len(in.Seen), "pod", "pods")), append(notes, found.Notes(in)...))
	if err != nil {
		return err
	}
	if _, err := io.WriteString(p.Out, text); err != nil {
		return err
	}
	if found.Policy == nil {
		return errors.New("none of the destinations can be probed, so there is no policy to write; the table says why")
	}
	return nil
}

func workloadName(in discover.Input) string {
	if in.From == nil {
		return "the observed workload"
	}
	return in.From.Kind + " " + in.From.Name
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(err.Error(), "\n")
	return line
}

// discoverLive asks the observers in the workload's pods.
func (p *plugin) discoverLive(ctx context.Context, name string, port int, image string) error {
	from, err := workloadOf(name)
	if err != nil {
		return &usageError{"kubectl connpolicy discover", err}
	}
	namespace, err := p.cluster.namespace(false)
	if err != nil {
		return err
	}
	reader, err := p.cluster.client()
	if err != nil {
		return err
	}
	pods, err := p.podsOf(ctx, reader, namespace, from)
	if err != nil {
		return err
	}
	in := discover.Input{Namespace: namespace, From: &from}
	notes, err := p.askObservers(ctx, pods, port, &in)
	if err != nil {
		return err
	}
	if len(in.Seen) == 0 {
		return errors.New(noObserver(namespace, name, pods, notes, image))
	}
	return p.writeFound(in, append(notes, nameAddresses(ctx, reader, &in)...))
}
