package apiserver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// ReadManifests reads the objects of a YAML file, in the order in which they stand.
func ReadManifests(path string) ([]*unstructured.Unstructured, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var objects []*unstructured.Unstructured
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(object); errors.Is(err, io.EOF) {
			return objects, nil
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		if len(object.Object) > 0 {
			objects = append(objects, object)
		}
	}
}

// Install applies every object of a manifest, as kubectl apply --server-side does, and waits for a kind that the same
// manifest defines.
func Install(ctx context.Context, t testing.TB, c client.Client, path string) {
	t.Helper()
	objects, err := ReadManifests(path)
	if err != nil {
		t.Fatal(err)
	}
	if len(objects) == 0 {
		t.Fatalf("%s holds no object", path)
	}
	for _, object := range objects {
		var last error
		err := wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, 30*time.Second, true,
			func(ctx context.Context) (bool, error) {
				last = c.Apply(ctx, client.ApplyConfigurationFromUnstructured(object.DeepCopy()),
					client.FieldOwner("test"), client.ForceOwnership)
				if apimeta.IsNoMatchError(last) {
					return false, nil
				}
				return true, last
			})
		if err != nil {
			t.Fatalf("%s: %s %s: %v (%v)", path, object.GetKind(), object.GetName(), err, last)
		}
	}
}
