package cel

import (
	"strings"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/connpolicy/connpolicy/test/apiserver"
)

// TestDescriptions reads what kubectl explain shows: every field says what it is, and what it is by default, which
// kubectl does not show by itself.
func TestDescriptions(t *testing.T) {
	objects, err := apiserver.ReadManifests(installPlain)
	if err != nil {
		t.Fatal(err)
	}
	kinds := 0
	for _, object := range objects {
		if object.GetKind() != "CustomResourceDefinition" {
			continue
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &definition); err != nil {
			t.Fatal(err)
		}
		for _, version := range definition.Spec.Versions {
			kinds++
			checkDescriptions(t, definition.Spec.Names.Kind, *version.Schema.OpenAPIV3Schema)
		}
	}
	if kinds != 3 {
		t.Errorf("%s defines %d kinds, want 3", installPlain, kinds)
	}
}

func checkDescriptions(t *testing.T, path string, schema apiextensionsv1.JSONSchemaProps) {
	t.Helper()
	for name, field := range schema.Properties {
		where := path + "." + name
		if field.Description == "" && where != path+".metadata" {
			t.Errorf("%s has no description", where)
		}
		if field.Default != nil && string(field.Default.Raw) != "{}" && !strings.Contains(field.Description, "by default") {
			t.Errorf("%s does not say what it is by default: %s", where, field.Default.Raw)
		}
		checkDescriptions(t, where, field)
	}
	if schema.Items != nil && schema.Items.Schema != nil {
		checkDescriptions(t, path, *schema.Items.Schema)
	}
}
