package userrules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/ext"

	"github.com/connpolicy/connpolicy/probes/result"
)

// Version of the environment that expressions are written for. Variables, fields and functions are only ever added to a
// version.
const Version = "v1"

// Names of the variables that are no measurement.
const (
	hostVariable     = "host"
	targetVariable   = "target"
	statusesVariable = "statuses"
	observerVariable = "observer"
)

// Environment is what expressions may name: each measurement of a probe by its name (handshake, reuse, …), host, target
// and statuses of the same result, and observer, what an observer saw in one of the workload's pods. Fields have the names of
// the probe's contract, package probes/result.
type Environment struct{ cel *cel.Env }

// NewEnvironment returns the environment of this Version.
func NewEnvironment() (*Environment, error) {
	options := []cel.EnvOption{
		ext.NativeTypes(reflect.TypeFor[result.Result](), reflect.TypeFor[result.Observation](), ext.ParseStructTag("json")),
		withContractFields,
		cel.CrossTypeNumericComparisons(true), // p50 < 1000, although p50 has a fraction
		ext.Strings(ext.StringsVersion(4)),
		ext.Math(ext.MathVersion(2)),
		ext.Lists(ext.ListsVersion(3)),
		// Two lists one in the other are enough for destinations, and keep what costs nothing by CEL's count from taking long.
		cel.ASTValidators(cel.ValidateComprehensionNestingLimit(2), cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for name, of := range variables() {
		options = append(options, cel.Variable(name, of))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("make the environment of audit rules: %w", err)
	}
	return &Environment{env}, nil
}

// Variables are the names that an expression may begin with, sorted.
func Variables() []string {
	names := make([]string, 0, len(variables()))
	for name := range variables() {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func variables() map[string]*cel.Type {
	of := map[string]*cel.Type{
		hostVariable:     typeOf(reflect.TypeFor[result.Host]()),
		targetVariable:   typeOf(reflect.TypeFor[result.Target]()),
		statusesVariable: cel.MapType(cel.StringType, cel.IntType),
		observerVariable: typeOf(reflect.TypeFor[result.Observation]()),
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[result.Measurements]()) {
		of[jsonName(field)] = typeOf(field.Type.Elem())
	}
	return of
}

// typeOf is the name under which ext.NativeTypes knows a struct.
func typeOf(t reflect.Type) *cel.Type { return cel.ObjectType(t.String()) }

func jsonName(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	return name
}
