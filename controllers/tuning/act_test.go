package tuning

import (
	"context"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// applier counts what is applied through it; anything else panics.
type applier struct {
	client.Client
	applied int
}

func (a *applier) Apply(context.Context, runtime.ApplyConfiguration, ...client.ApplyOption) error {
	a.applied++
	return nil
}

// TestRestartGoesPastTheCache: the manager's client would watch every workload of the cluster after one write.
func TestRestartGoesPastTheCache(t *testing.T) {
	cached, live := &applier{}, &applier{}
	r := &Reconciler{Client: cached, Live: live}
	g := &gathered{state: State{Target: shopper, Namespace: Namespace{Name: "shop"}}, source: &source{uid: "uid-client"}}
	if err := r.restart(t.Context(), g, noon); err != nil {
		t.Fatal(err)
	}
	if cached.applied != 0 || live.applied != 1 {
		t.Errorf("applied %d times through the cache and %d times past it, want 0 and 1", cached.applied, live.applied)
	}
}
