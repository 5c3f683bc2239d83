// Package userrules judges links by rules that users write themselves: conditions in the Common Expression Language
// (https://cel.dev) over what probes measured and observers saw. It is pure.
package userrules

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"

	"github.com/connpolicy/connpolicy/api/v1alpha1"
	"github.com/connpolicy/connpolicy/internal/audit"
)

// Prefix of the ids of users' rules, so that none is ever taken for one of the product's own.
const Prefix = "user/"

// Title of all users' rules; their names tell them apart.
const Title = "A rule of the policy's own"

// costLimit bounds the work of one evaluation, in the units of CEL's own count: about one for each figure read.
const costLimit = 100_000

// Rule is a condition that a link is to meet.
type Rule struct {
	// Name tells the rules of a policy apart.
	Name string
	// Expression is the condition. It is true where the rule is met.
	Expression string
	// Message says what is wrong where it is not. Empty: the expression itself says it.
	Message string
	// Severity of the finding.
	Severity audit.Severity
}

// Of is a rule as a policy writes it.
func Of(written v1alpha1.AuditRule) Rule {
	return Rule{
		Name: written.Name, Expression: written.Expression, Message: written.Message, Severity: audit.Severity(written.Severity),
	}
}

// ID is the rule's id in verdicts.
func (r Rule) ID() string { return Prefix + r.Name }

// Compiled is a rule that can be judged.
type Compiled struct {
	Rule
	// bounded evaluates within costLimit, tracing notes the values of all parts: CEL counts no cost while it traces.
	bounded, tracing cel.Program
	// figures are what the expression reads, by the ids of the parts of the expression that name them, such as
	// handshake.connectMicroseconds.p50.
	figures map[int64]string
	// tree is the expression.
	tree ast.Expr
	// ofProbe and ofObserver say whose figures it reads.
	ofProbe, ofObserver bool
}

// Error says what is wrong with an expression.
type Error struct {
	Rule string
	// Problems in the order of their places.
	Problems []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("audit rule %s: %s", e.Rule, strings.Join(e.Problems, "; "))
}

// Compile checks a rule against the environment's variables and their types. The error is an *Error.
func (e *Environment) Compile(rule Rule) (Compiled, error) {
	checked, issues := e.cel.Compile(rule.Expression)
	if issues.Err() != nil {
		return Compiled{}, &Error{Rule: rule.Name, Problems: e.problems(rule.Expression, issues)}
	}
	if checked.OutputType() != cel.BoolType {
		return Compiled{}, &Error{Rule: rule.Name, Problems: []string{
			fmt.Sprintf("the expression must be a condition, true or false, and is of type %s", checked.OutputType())}}
	}
	bounded, err := e.cel.Program(checked, cel.CostLimit(costLimit))
	if err != nil {
		return Compiled{}, &Error{Rule: rule.Name, Problems: []string{err.Error()}}
	}
	tracing, err := e.cel.Program(checked, cel.EvalOptions(cel.OptTrackState))
	if err != nil {
		return Compiled{}, &Error{Rule: rule.Name, Problems: []string{err.Error()}}
	}
	compiled := Compiled{Rule: rule, bounded: bounded, tracing: tracing, figures: map[int64]string{}, tree: checked.NativeRep().Expr()}
	collect(compiled.tree, checked.NativeRep().ReferenceMap(), compiled.figures)
	for _, root := range compiled.Reads() {
		compiled.ofObserver = compiled.ofObserver || root == observerVariable
		compiled.ofProbe = compiled.ofProbe || root != observerVariable
	}
	return compiled, nil
}

// collect notes the longest chains of fields that begin at a variable, such as handshake.connectMicroseconds.p50.
func collect(expression ast.Expr, references map[int64]*ast.ReferenceInfo, into map[int64]string) {
	if name, whole := chain(expression, references); whole {
		into[expression.ID()] = name
		return
	}
	for _, part := range parts(expression) {
		collect(part, references, into)
	}
}

// chain names a variable or a field of one. Local variables of list macros are none.
func chain(expression ast.Expr, references map[int64]*ast.ReferenceInfo) (string, bool) {
	switch expression.Kind() {
	case ast.IdentKind:
		reference := references[expression.ID()]
		return expression.AsIdent(), reference != nil && slices.Contains(Variables(), reference.Name)
	case ast.SelectKind:
		operand, whole := chain(expression.AsSelect().Operand(), references)
		return operand + "." + expression.AsSelect().FieldName(), whole
	case ast.CallKind:
		call := expression.AsCall()
		if call.FunctionName() != operators.Index || call.Args()[1].Kind() != ast.LiteralKind {
			return "", false
		}
		operand, whole := chain(call.Args()[0], references)
		return fmt.Sprintf("%s[%v]", operand, call.Args()[1].AsLiteral().Value()), whole
	}
	return "", false
}

// parts are the expressions that one is made of.
func parts(expression ast.Expr) []ast.Expr {
	switch expression.Kind() {
	case ast.SelectKind:
		return []ast.Expr{expression.AsSelect().Operand()}
	case ast.CallKind:
		call := expression.AsCall()
		if call.IsMemberFunction() {
			return append([]ast.Expr{call.Target()}, call.Args()...)
		}
		return call.Args()
	case ast.ListKind:
		return expression.AsList().Elements()
	case ast.MapKind:
		var all []ast.Expr
		for _, entry := range expression.AsMap().Entries() {
			all = append(all, entry.AsMapEntry().Key(), entry.AsMapEntry().Value())
		}
		return all
	case ast.ComprehensionKind:
		c := expression.AsComprehension()
		return []ast.Expr{c.IterRange(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()}
	}
	return nil
}
