package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	apimeta "k8s.io/apimachinery/pkg/api/meta"
)

// Exit codes.
const (
	exitDone    = 0
	exitFaults  = 1
	exitUsage   = 2
	exitFailure = 3
)

// usageError is a command line that cannot be meant.
type usageError struct {
	command string
	err     error
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

// errFaults says that what was looked at has faults, which were told already.
var errFaults = errors.New("faults were found")

// conclude tells an error and returns the exit code.
func conclude(err error, stderr io.Writer) int {
	var wrong *usageError
	switch {
	case err == nil:
		return exitDone
	case errors.Is(err, errFaults):
		return exitFaults
	case errors.As(err, &wrong):
		fmt.Fprintf(stderr, "error: %v\nSee '%s --help'.\n", err, wrong.command)
		return exitUsage
	}
	fmt.Fprintf(stderr, "error: %v\n", err)
	return exitFailure
}

// advise adds to an error of the API server what to do about it.
func (c *cluster) advise(err error) error {
	var unreachable *url.Error
	var dial *net.OpError
	switch {
	case err == nil:
		return nil
	case apimeta.IsNoMatchError(err):
		return fmt.Errorf("this cluster%s does not know connpolicy's kinds: install it with 'kubectl apply --server-side -f dist/install.yaml', or name another cluster with --context", c.name())
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("%w: the cluster%s does not know who you are; log in anew", err, c.name())
	case apierrors.IsForbidden(err):
		return fmt.Errorf("%w\nAsk for the ClusterRole view in that namespace, which holds the right to read connpolicy's kinds; "+
			"'kubectl auth can-i --list' shows what you may do", err)
	case errors.As(err, &unreachable) && errors.As(err, &dial):
		return fmt.Errorf("the cluster%s cannot be reached: %w\nName another with --context or --kubeconfig, or read saved reports with -f", c.name(), err)
	}
	return err
}

// name is the context that is used, for messages.
func (c *cluster) name() string {
	if c.flags.Context != nil && *c.flags.Context != "" {
		return " (context " + *c.flags.Context + ")"
	}
	raw, err := c.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil || raw.CurrentContext == "" {
		return ""
	}
	return " (context " + raw.CurrentContext + ")"
}

// nearest are the names that differ least from one that does not exist, at most three. Of those that differ as much those come
// first that begin alike.
func nearest(wanted string, names []string) []string {
	const most, apart = 3, 3
	near := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		return edits(strings.ToLower(wanted), strings.ToLower(name)) > apart && !strings.Contains(name, wanted) && !strings.Contains(wanted, name)
	})
	slices.SortStableFunc(near, func(a, b string) int {
		return cmp.Or(cmp.Compare(edits(wanted, a), edits(wanted, b)), cmp.Compare(alike(wanted, b), alike(wanted, a)))
	})
	return near[:min(len(near), most)]
}

// alike is how many letters two words begin with alike.
func alike(a, b string) int {
	n := 0
	for n < min(len(a), len(b)) && a[n] == b[n] {
		n++
	}
	return n
}

// edits is the number of letters to insert, delete or replace to make one word of the other (Levenshtein).
func edits(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// orElse words a list of near names as a question; empty if there is none.
func orElse(near []string) string {
	if len(near) == 0 {
		return ""
	}
	return "; did you mean " + strings.Join(near, " or ") + "?"
}
