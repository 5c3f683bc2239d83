// Command resultschema writes the JSON Schema of a probe's result to docs/probe-result.schema.json, from the types and
// their comments. Run it from the root of the module:
//
//	go run ./hack/resultschema
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/connpolicy/connpolicy/probes/result"
)

const (
	module  = "github.com/connpolicy/connpolicy"
	types   = "./probes/result"
	written = "docs/probe-result.schema.json"
)

func main() {
	text, err := render()
	if err == nil {
		err = os.WriteFile(written, text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "resultschema:", err)
		os.Exit(1)
	}
}

// render builds the schema. It reads the comments from the sources, so the working directory is the module's root.
func render() ([]byte, error) {
	reflector := &jsonschema.Reflector{
		// A later version of the contract may add fields, and a reader of today must not stumble over them.
		AllowAdditionalProperties: true,
	}
	if err := reflector.AddGoComments(module, types, jsonschema.WithFullComment()); err != nil {
		return nil, fmt.Errorf("read the comments: %w", err)
	}
	schema := reflector.Reflect(&result.Result{})
	schema.ID = "https://connpolicy.dev/schemas/" + jsonschema.ID(strings.ReplaceAll(result.Version, "/", "-")) + ".json"
	schema.Title = "Result of a connpolicy probe, " + result.Version
	text, err := json.MarshalIndent(schema, "", "  ")
	if err != nil {
		return nil, err
	}
	return append(text, '\n'), nil
}
