package cel

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/connpolicy/connpolicy/test/apiserver"
)

// testSamples applies every manifest in config/samples, each in a namespace of its own unless it names one.
func (c *cluster) testSamples(t *testing.T) {
	files := yamlFiles(t, "../../config/samples")
	for _, file := range files {
		objects, err := apiserver.ReadManifests(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range objects {
			t.Run(strings.TrimPrefix(file, "../../config/samples/")+"/"+object.GetName(), func(t *testing.T) {
				if object.GetNamespace() == "" {
					object.SetNamespace("default")
				}
				if object.GetKind() == "Namespace" {
					object.SetNamespace("")
				} else {
					c.ensureNamespace(t, object.GetNamespace())
				}
				apply := client.ApplyConfigurationFromUnstructured(object)
				if err := c.admin.Apply(t.Context(), apply, client.FieldOwner("test"), client.ForceOwnership); err != nil {
					t.Errorf("%s: %v", file, err)
				}
			})
		}
	}
}

func (c *cluster) ensureNamespace(t *testing.T, name string) {
	t.Helper()
	namespace := newNamespace(name, nil)
	if err := c.admin.Create(t.Context(), namespace); err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatal(err)
	}
}

// testInvalid sends every manifest in test/invalid and wants it refused with the message that its first line names.
func (c *cluster) testInvalid(t *testing.T) {
	writers := map[string]client.Client{
		"ConnectionPolicy": c.admin,
		"ConnectionReport": c.as(t, operator),
		"ConnectionTuning": c.as(t, operator),
	}
	for _, file := range yamlFiles(t, "../invalid") {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".yaml"), func(t *testing.T) {
			content, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(content), "\n")
			want, found := strings.CutPrefix(first, "# expect: ")
			if !found || want == "" {
				t.Fatalf("the first line of %s is not '# expect: <part of the message>'", file)
			}
			objects, err := apiserver.ReadManifests(file)
			if err != nil {
				t.Fatal(err)
			}
			if len(objects) != 1 {
				t.Fatalf("%s holds %d objects, want one", file, len(objects))
			}
			object := objects[0]
			object.SetNamespace("default")
			expect(t, writers[object.GetKind()].Create(t.Context(), object), want)
		})
	}
}

// yamlFiles lists the manifests under a folder, without those that are kustomize's own.
func yamlFiles(t *testing.T, folder string) []string {
	t.Helper()
	var files []string
	err := filepath.WalkDir(folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && filepath.Ext(path) == ".yaml" && entry.Name() != "kustomization.yaml" {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("%s holds no manifest", folder)
	}
	return files
}
