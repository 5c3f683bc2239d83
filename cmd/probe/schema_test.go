package main

import (
	"bytes"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// matchesSchema fails the test unless what the probe printed is what its schema promises.
func matchesSchema(t *testing.T, printed []byte) {
	t.Helper()
	schema, err := jsonschema.NewCompiler().Compile("../../docs/probe-result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(printed))
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		t.Errorf("%v\n%s", err, printed)
	}
}

func TestSchemaRefusesWhatIsNoResult(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("../../docs/probe-result.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{`{}`, `[]`, `{"version": 1}`} {
		value, err := jsonschema.UnmarshalJSON(bytes.NewReader([]byte(text)))
		if err != nil {
			t.Fatal(err)
		}
		if schema.Validate(value) == nil {
			t.Errorf("%s is a result", text)
		}
	}
}
