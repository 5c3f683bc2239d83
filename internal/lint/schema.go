package lint

import (
	"context"
	"fmt"
	"io/fs"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/operation"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/connpolicy/connpolicy/config/crd"
)

// kind is what the API server would check of one kind.
type kind struct {
	structural *structuralschema.Structural
	schema     schemavalidation.SchemaValidator
	rules      *cel.Validator
}

// kinds reads the definitions that this program was built with, by the name of the kind.
func kinds() (map[string]*kind, error) {
	files, err := fs.Glob(crd.Bases, "bases/*.yaml")
	if err != nil {
		return nil, fmt.Errorf("list the definitions: %w", err)
	}
	known := map[string]*kind{}
	for _, file := range files {
		text, err := crd.Bases.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read a definition: %w", err)
		}
		var definition apiextensionsv1.CustomResourceDefinition
		if err := yaml.UnmarshalStrict(text, &definition); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		k, err := newKind(&definition)
		if err != nil {
			return nil, fmt.Errorf("understand %s: %w", file, err)
		}
		known[definition.Spec.Names.Kind] = k
	}
	return known, nil
}

// newKind builds the checks of a definition's only version.
func newKind(definition *apiextensionsv1.CustomResourceDefinition) (*kind, error) {
	var internal apiextensions.CustomResourceValidation
	if err := apiextensionsv1.Convert_v1_CustomResourceValidation_To_apiextensions_CustomResourceValidation(
		definition.Spec.Versions[0].Schema, &internal, nil); err != nil {
		return nil, err
	}
	structural, err := structuralschema.NewStructural(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	schema, _, err := schemavalidation.NewSchemaValidator(internal.OpenAPIV3Schema)
	if err != nil {
		return nil, err
	}
	return &kind{structural: structural, schema: schema, rules: cel.NewValidator(structural, true, celconfig.PerCallLimit)}, nil
}

// unknown takes the fields out of an object that the kind does not have, and names them, as the API server does before
// anything else (apiextensions-apiserver, unstructuredSchemaCoercer).
func (k *kind) unknown(object *unstructured.Unstructured) ([]string, error) {
	_, _, inMetadata, err := objectmeta.GetObjectMetaWithOptions(object.Object, objectmeta.ObjectMetaOptions{ReturnUnknownFieldPaths: true})
	if err != nil {
		return nil, err
	}
	paths := pruning.PruneWithOptions(object.Object, k.structural, true, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, k.structural)
	return append(inMetadata, paths...), nil
}

// check returns what the API server would refuse an object for at its creation, in its order and words
// (apiextensions-apiserver, customResourceStrategy.Validate).
func (k *kind) check(ctx context.Context, object *unstructured.Unstructured) field.ErrorList {
	defaulting.Default(object.Object, k.structural)
	var metadata metav1.ObjectMeta
	if found, _, err := objectmeta.GetObjectMeta(object.Object, false); err == nil && found != nil {
		metadata = *found
	}
	if metadata.Namespace == "" {
		metadata.Namespace = metav1.NamespaceDefault // kubectl sets that of its context
	}
	list := validation.ValidateObjectMetaDeclaratively(ctx, operation.Create, &metadata, nil, true, validation.NameIsDNSSubdomain, field.NewPath("metadata"), false)
	list = append(list, schemavalidation.ValidateCustomResource(nil, object.UnstructuredContent(), k.schema)...)
	list = append(list, objectmeta.Validate(ctx, nil, object.Object, k.structural, false)...)
	list = append(list, listtype.ValidateListSetsAndMaps(nil, k.structural, object.Object)...)
	for _, e := range list {
		switch e.Type {
		case field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid:
			return list // rules of a schema hold of what meets it alone
		default:
		}
	}
	failed, _ := k.rules.Validate(ctx, nil, k.structural, object.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(list, failed...)
}
