// The apidocs program writes docs/api.md, the reference of every field, from the CustomResourceDefinitions. It is run from
// the root of the checkout.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"sigs.k8s.io/yaml"
)

const (
	source = "config/crd/bases/*.yaml"
	target = "docs/api.md"
	header = "# Every field\n\nGenerated from the CustomResourceDefinitions by `make api-docs`. `kubectl explain` shows the same.\n"
)

func main() {
	if err := generate(); err != nil {
		fmt.Fprintf(os.Stderr, "write %s: %v\n", target, err)
		os.Exit(1)
	}
}

func generate() error {
	files, err := filepath.Glob(source)
	if err != nil {
		return fmt.Errorf("look for %s: %w", source, err)
	}
	if len(files) == 0 {
		return fmt.Errorf("there is no %s: run this from the root of the checkout, after make manifests", source)
	}
	var page strings.Builder
	page.WriteString(header)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(content, &definition); err != nil {
			return fmt.Errorf("read %s: %w", file, err)
		}
		writeKind(&page, definition)
	}
	return os.WriteFile(target, []byte(page.String()), 0o644)
}
