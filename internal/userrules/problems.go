package userrules

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/connpolicy/connpolicy/probes/result"
)

// problems renders what the compiler found, each on one line with its place and, where it is known, what to write instead.
func (e *Environment) problems(expression string, issues *cel.Issues) []string {
	parsed, _ := e.cel.Parse(expression)
	list := make([]string, 0, len(issues.Errors()))
	for _, found := range issues.Errors() {
		message := strings.TrimSuffix(found.Message, " (in container '')")
		list = append(list, fmt.Sprintf("line %d, column %d: %s%s", found.Location.Line(), found.Location.Column()+1, message, advice(expression, parsed, found)))
	}
	return list
}

// advice says what to write instead of what the compiler did not understand. Empty: nothing is known.
func advice(expression string, parsed *cel.Ast, found *common.Error) string {
	switch message := found.Message; {
	case strings.Contains(message, "undeclared reference") && isCall(expression, found.Location):
		return "; there is no such function"
	case strings.Contains(message, "undeclared reference"):
		return "; there are " + strings.Join(Variables(), ", ") + ", and a text stands in quotes"
	case strings.Contains(message, "undefined field") && parsed != nil:
		if of := selectedFrom(parsed.NativeRep().Expr(), found.ExprID, goTypes()); of != nil {
			return "; there are " + strings.Join(fieldsOf(of), ", ")
		}
	case strings.Contains(message, "applied to '("):
		return mismatch(message)
	case strings.Contains(message, "input 'and'"), strings.Contains(message, "input 'AND'"):
		return "; write && for and"
	case strings.Contains(message, "input 'or'"), strings.Contains(message, "input 'OR'"):
		return "; write || for or"
	case strings.Contains(message, "token recognition error at: '="):
		return "; write == to compare"
	case strings.Contains(message, "input '<EOF>'"):
		return "; the expression ends too soon"
	case strings.Contains(message, "nesting limit"):
		return "; no more than two lists may be nested"
	case strings.Contains(message, "invalid matches argument"):
		return "; it is no regular expression (RE2)"
	case strings.Contains(message, "has() macro"):
		return "; it asks whether a field is known, such as has(handshake.tls)"
	}
	return ""
}

// isCall says whether what stands at a place is the call of a function, whose place is its parenthesis.
func isCall(expression string, at common.Location) bool {
	lines := strings.Split(expression, "\n")
	if at.Line() < 1 || at.Line() > len(lines) {
		return false
	}
	line := []rune(lines[at.Line()-1])
	return at.Column() < len(line) && line[at.Column()] == '('
}

// mismatch says of an operator what is wrong with the types that it was given.
func mismatch(message string) string {
	_, types, _ := strings.Cut(message, "applied to '(")
	types = strings.TrimSuffix(types, ")'")
	number := strings.Contains(types, "int") || strings.Contains(types, "double")
	for _, of := range structs(reflect.TypeFor[result.Result](), structs(reflect.TypeFor[result.Observation](), nil)) {
		if slices.Contains(strings.Split(types, ", "), of.String()) {
			return "; it has the fields " + strings.Join(fieldsOf(of), ", ")
		}
	}
	if slices.Contains(strings.Split(types, ", "), "null") {
		return "; nothing is ever null: has(…) asks whether it is known"
	}
	if number && (strings.Contains(types, "string") || strings.Contains(types, "duration")) {
		return `; a figure is a number in the unit of its name (1000, not "1ms"), and int(…) makes a number of a text`
	}
	return ""
}

// selectedFrom returns the struct that the field of the part with an id is looked for in, nil if that is not known. types
// are those of the names in reach.
func selectedFrom(part ast.Expr, id int64, types map[string]reflect.Type) reflect.Type {
	if part.Kind() == ast.SelectKind && part.ID() == id {
		return goType(part.AsSelect().Operand(), types)
	}
	if part.Kind() == ast.ComprehensionKind {
		if list := goType(part.AsComprehension().IterRange(), types); list != nil && list.Kind() == reflect.Slice {
			inner := map[string]reflect.Type{part.AsComprehension().IterVar(): pointedTo(list.Elem())}
			for name, of := range types {
				if _, hidden := inner[name]; !hidden {
					inner[name] = of
				}
			}
			types = inner
		}
	}
	for _, inner := range parts(part) {
		if of := selectedFrom(inner, id, types); of != nil {
			return of
		}
	}
	return nil
}

// goType is the type that an expression has in the contract, nil if it is not a field of it.
func goType(expression ast.Expr, types map[string]reflect.Type) reflect.Type {
	switch expression.Kind() {
	case ast.IdentKind:
		return types[expression.AsIdent()]
	case ast.SelectKind:
		of := goType(expression.AsSelect().Operand(), types)
		if of == nil || of.Kind() != reflect.Struct {
			return nil
		}
		for _, field := range reflect.VisibleFields(of) {
			if !field.Anonymous && jsonName(field) == expression.AsSelect().FieldName() {
				return pointedTo(field.Type)
			}
		}
	case ast.CallKind:
		if call := expression.AsCall(); call.FunctionName() == operators.Index {
			if of := goType(call.Args()[0], types); of != nil && (of.Kind() == reflect.Slice || of.Kind() == reflect.Map) {
				return pointedTo(of.Elem())
			}
		}
	}
	return nil
}

// goTypes are the variables' types.
func goTypes() map[string]reflect.Type {
	types := map[string]reflect.Type{
		hostVariable: reflect.TypeFor[result.Host](), targetVariable: reflect.TypeFor[result.Target](),
		statusesVariable: reflect.TypeFor[map[string]int](), observerVariable: reflect.TypeFor[result.Observation](),
	}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[result.Measurements]()) {
		types[jsonName(field)] = pointedTo(field.Type)
	}
	return types
}

// fieldsOf are the names of a struct's fields, those of an embedded one last.
func fieldsOf(of reflect.Type) []string {
	var own, embedded []string
	if of.Kind() != reflect.Struct {
		return nil
	}
	for _, field := range reflect.VisibleFields(of) {
		switch name := jsonName(field); {
		case field.Anonymous || name == "" || name == "-":
		case len(field.Index) > 1:
			embedded = append(embedded, name)
		default:
			own = append(own, name)
		}
	}
	return append(own, embedded...)
}

// structs adds to list the structs that a type is made of.
func structs(of reflect.Type, list []reflect.Type) []reflect.Type {
	switch of.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return structs(of.Elem(), list)
	case reflect.Struct:
		if slices.Contains(list, of) {
			return list
		}
		list = append(list, of)
		for _, field := range reflect.VisibleFields(of) {
			list = structs(field.Type, list)
		}
	}
	return list
}

func pointedTo(of reflect.Type) reflect.Type {
	if of.Kind() == reflect.Pointer {
		return of.Elem()
	}
	return of
}
