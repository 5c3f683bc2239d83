package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
)

// writeKind writes a kind with every field of its spec and status.
func writeKind(out io.Writer, definition apiextensionsv1.CustomResourceDefinition) {
	for _, version := range definition.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		fmt.Fprintf(out, "\n## %s (%s/%s)\n\n%s\n", definition.Spec.Names.Kind, definition.Spec.Group, version.Name, paragraph(schema.Description))
		for _, rule := range schema.XValidations {
			fmt.Fprintf(out, "\nRule: %s\n", paragraph(rule.Message))
		}
		for _, part := range []string{"spec", "status"} {
			properties, ok := schema.Properties[part]
			if !ok {
				continue
			}
			fmt.Fprintf(out, "\n### %s %s\n\n| field | type | meaning |\n| --- | --- | --- |\n", definition.Spec.Names.Kind, part)
			writeFields(out, part, properties)
			writeRules(out, part, properties)
		}
	}
}

// writeFields writes a row for each field below a path, depth first, in the order of their names.
func writeFields(out io.Writer, path string, schema apiextensionsv1.JSONSchemaProps) {
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		field := schema.Properties[name]
		fieldPath := path + "." + name
		if field.Items != nil {
			fieldPath += "[]"
		}
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", fieldPath, typeOf(field), meaning(field, slices.Contains(schema.Required, name)))
		writeFields(out, fieldPath, inner(field))
	}
}

// writeRules lists what the fields at and below a path must hold together, in the words of the API server's refusal.
func writeRules(out io.Writer, path string, schema apiextensionsv1.JSONSchemaProps) {
	var rules []string
	collectRules(path, schema, &rules)
	if len(rules) == 0 {
		return
	}
	fmt.Fprintf(out, "\nRules beyond types and bounds:\n\n%s", strings.Join(rules, ""))
}

func collectRules(path string, schema apiextensionsv1.JSONSchemaProps, rules *[]string) {
	for _, rule := range schema.XValidations {
		*rules = append(*rules, fmt.Sprintf("- `%s`: %s\n", path, paragraph(rule.Message)))
	}
	for _, name := range slices.Sorted(maps.Keys(schema.Properties)) {
		field := schema.Properties[name]
		fieldPath := path + "." + name
		if field.Items != nil {
			collectRules(fieldPath+"[]", *field.Items.Schema, rules)
			continue
		}
		collectRules(fieldPath, field, rules)
	}
}

// inner is the schema that holds the fields of a list's elements, or of the field itself.
func inner(field apiextensionsv1.JSONSchemaProps) apiextensionsv1.JSONSchemaProps {
	if field.Items != nil {
		return *field.Items.Schema
	}
	return field
}

// typeOf names the type of a field, with the values or the bounds it may have.
func typeOf(field apiextensionsv1.JSONSchemaProps) string {
	element := inner(field)
	text := element.Type
	switch {
	case element.Format == "date-time":
		text = "time"
	case element.AdditionalProperties != nil:
		text = "map of " + element.AdditionalProperties.Schema.Type
	case len(element.Enum) > 0:
		var values []string
		for _, value := range element.Enum {
			values = append(values, strings.Trim(string(value.Raw), `"`))
		}
		text = strings.Join(values, ", ")
	}
	text += bounds(element)
	if field.Items != nil {
		text = "list of " + text
		if field.MaxItems != nil {
			text += fmt.Sprintf(", at most %d", *field.MaxItems)
		}
	}
	return text
}

// bounds renders the lowest and the highest number that a field may have.
func bounds(field apiextensionsv1.JSONSchemaProps) string {
	switch {
	case field.Minimum != nil && field.Maximum != nil:
		return fmt.Sprintf(", %.0f to %.0f", *field.Minimum, *field.Maximum)
	case field.Minimum != nil:
		return fmt.Sprintf(", %.0f or more", *field.Minimum)
	case field.Maximum != nil:
		return fmt.Sprintf(", %.0f or less", *field.Maximum)
	default:
		return ""
	}
}

func meaning(field apiextensionsv1.JSONSchemaProps, required bool) string {
	text := strings.ReplaceAll(paragraph(field.Description), "|", `\|`)
	if required {
		text += " Required."
	}
	if field.Default != nil && string(field.Default.Raw) != "{}" {
		text += fmt.Sprintf(" Default: `%s`.", strings.Trim(string(field.Default.Raw), `"`))
	}
	return text
}

// paragraph joins the lines of a description.
func paragraph(text string) string { return strings.Join(strings.Fields(text), " ") }
