package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
)

// statusReport is what a running lab looks like at one moment.
type statusReport struct {
	record      *record
	dead        map[string]bool // by name, the programs that have ended
	readiness   map[string]bool // by name, the nodes that are registered
	nodesError  error           // why the nodes are not known
	dnsError    error           // why cluster DNS is not ready
	kubeconfig  string
	unreachable bool // there is no kubeconfig
}

// inspect looks at every part of the lab that the record tells of.
func inspect(ctx context.Context, l layout, r *record) (*statusReport, error) {
	report := &statusReport{record: r, dead: map[string]bool{}, kubeconfig: l.kubeconfig(), unreachable: absent(l.kubeconfig())}
	for _, started := range r.Processes {
		alive, err := started.Process.alive()
		if err != nil {
			return nil, err
		}
		report.dead[started.Name] = !alive
	}
	report.readiness, report.nodesError = askNodes(ctx)
	_, report.dnsError = dnsReady(ctx)
	return report, nil
}

func askNodes(ctx context.Context) (map[string]bool, error) {
	api, err := newAPIClient()
	if err != nil {
		return nil, err
	}
	return api.nodeReadiness(ctx)
}

// problems lists what is not as it must be, the causes before their consequences.
func (s *statusReport) problems() []string {
	var found []string
	for _, started := range s.record.Processes {
		if s.dead[started.Name] {
			found = append(found, started.Name+" has ended")
		}
	}
	if !s.record.Complete {
		found = append(found, "its start did not come to an end")
	}
	if s.unreachable {
		found = append(found, s.kubeconfig+" is missing")
	}
	if s.nodesError != nil {
		return append(found, s.nodesError.Error())
	}
	for _, n := range nodes() {
		if !s.readiness[n.name] {
			found = append(found, n.name+" is not ready")
		}
	}
	if s.dnsError != nil {
		found = append(found, "cluster DNS is not ready: "+s.dnsError.Error())
	}
	return found
}

// print writes the report for people.
func (s *statusReport) print(out io.Writer) error {
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "PROGRAM\tPID\tSTATE")
	for _, started := range s.record.Processes {
		state := "running"
		if s.dead[started.Name] {
			state = "ended"
		}
		fmt.Fprintf(table, "%s\t%d\t%s\n", started.Name, started.Process.PID, state)
	}
	fmt.Fprintln(table, "\nNODE\tREADY")
	for _, n := range nodes() {
		ready := "unknown"
		if s.nodesError == nil {
			ready = fmt.Sprint(s.readiness[n.name])
		}
		fmt.Fprintf(table, "%s\t%s\n", n.name, ready)
	}
	return table.Flush()
}

var errNoLab = errors.New("no lab is running: start one with `up`")

// status prints what runs. It fails when the lab is not up as a whole.
func status(ctx context.Context, out io.Writer) error {
	r, err := readRecord()
	if err != nil {
		return err
	}
	if r == nil {
		return errNoLab
	}
	report, err := inspect(ctx, layout{root: r.Root}, r)
	if err != nil {
		return err
	}
	if err := report.print(out); err != nil {
		return fmt.Errorf("print the status: %w", err)
	}
	problems := report.problems()
	for _, problem := range problems {
		say("%s", problem)
	}
	if len(problems) > 0 {
		return errors.New("the lab is not up as a whole: stop it with `down`, then start it again")
	}
	return nil
}
